// The order of publishing: everything durable, then the manifest, then the rename. A folder in outputs/ is
// therefore whole, and has its manifest.
#include "worker/daemon/publish.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/digest.h"
#include "common/base/file_effects.h"
#include "common/base/incoming.h"
#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr std::string_view kFormat = "gnnflow.manifest";

struct Place {
  fs::path made, published, manifest;
  fs::path written;  // the manifest, until it is whole: a crash leaves nothing half done below outputs/
};

Status go_on(const StopSignal* stop) {
  if (stop && stop->raised()) return Error{stop->cause(), "stopped while publishing"};
  return {};
}

// Names stand in manifests and messages: a receiver of JSON refuses what is no UTF-8, and dump() replaces it.
bool survives_json(const std::string& name) {
  const Result<Json> back = Json::parse(Json(name).dump());
  return back && back->is_string() && back->string() == name;
}

std::string escaped(std::string_view name) {
  std::string text;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    text += byte >= 0x20 && byte < 0x7F ? std::string(1, c) : fmt::format("\\x{:02x}", byte);
  }
  return text;
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(fs::symlink_status(path, ignored));
}

Result<std::vector<std::string>> files_below(const fs::path& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code problem;
    fs::file_type type = entry->symlink_status(problem).type();
    if (type == fs::file_type::directory) continue;
    if (type != fs::file_type::regular) {
      return Error{Cause::bad_data,
                   fmt::format("{}: outputs hold files and folders only, this is {}", entry->path().string(),
                               type == fs::file_type::symlink ? "a link" : "neither")};
    }
    paths.push_back(entry->path().lexically_relative(folder).string());
    if (!survives_json(paths.back())) {
      return Error{Cause::bad_data, fmt::format("{}: names of files in outputs are UTF-8, this one is not",
                                                escaped(entry->path().string()))};
    }
  }
  if (error) return system_error("reading " + folder.string(), error.value());
  std::sort(paths.begin(), paths.end());
  return paths;
}

Result<PublishedPiece> piece_of(std::string_view name, std::string_view manifest_text) {
  TRY(Json manifest, Json::parse(manifest_text));
  PublishedPiece piece{std::string(name), digest_of(manifest_text)};
  if (manifest.text_or("format", "") != kFormat || !manifest.get("files").is_array()) {
    return Error{Cause::bad_data, "no manifest of ours"};
  }
  for (const Json& file : manifest.get("files").array()) {
    piece.bytes += file.integer_or("bytes", 0);
    ++piece.files;
  }
  return piece;
}

Result<PublishedPiece> already_published(const Place& place, std::string_view name) {
  TRY(std::string text, read_file(place.manifest));
  return piece_of(name, text).within(place.manifest.string());
}

Result<PublishedPiece> write_manifest(const fs::path& folder, const Place& place, std::string_view name,
                                      const StopSignal* stop) {
  TRY(sync_tree(folder, stop));
  TRY(Json manifest, manifest_of(folder, stop));
  std::string text = manifest.dump();
  TRY(go_on(stop));
  TRY(create_folders(place.written.parent_path(), 0700));
  TRY(write_file_atomically(place.written, text));
  TRY(rename_durably(place.written, place.manifest));
  return piece_of(name, text);
}

Result<PublishedPiece> publish_piece(const Place& place, std::string_view name, const StopSignal* stop) {
  if (is_folder(place.published)) {
    Result<PublishedPiece> there = already_published(place, name);
    if (there || there.error().cause != Cause::not_found) return there;
    return write_manifest(place.published, place, name, stop);
  }
  if (!is_folder(place.made)) {
    return Error{Cause::not_found,
                 fmt::format("output '{}' is not there: no folder {}", name, place.made.string())};
  }
  TRY(PublishedPiece piece, write_manifest(place.made, place, name, stop));
  TRY(go_on(stop));
  TRY(rename_durably(place.made, place.published));
  return piece;
}

// Folders on the way, each durable in its parent.
Status make_durable_folders(const fs::path& root, const fs::path& folder) {
  TRY(create_folders(folder));
  for (fs::path at = folder.parent_path(); at != root && at.has_relative_path(); at = at.parent_path()) {
    TRY(sync_folder(at));
  }
  return sync_folder(root);
}

}  // namespace

Json PublishedPiece::to_json() const {
  Json json;
  json["name"] = name;
  json["digest"] = digest;
  json["bytes"] = bytes;
  json["files"] = files;
  return json;
}

Result<Json> manifest_of(const fs::path& folder, const StopSignal* stop) {
  TRY(std::vector<std::string> paths, files_below(folder));
  Json manifest;
  manifest["format"] = kFormat;
  manifest["version"] = 1;
  manifest["files"] = Json(Json::Array{});
  for (const std::string& path : paths) {
    TRY(go_on(stop));
    TRY(std::string digest, digest_of_file(folder / path, stop));
    std::error_code error;
    auto bytes = static_cast<int64_t>(fs::file_size(folder / path, error));
    if (error) return system_error("reading " + (folder / path).string(), error.value());
    Json file;
    file["path"] = path;
    file["bytes"] = bytes;
    file["digest"] = digest;
    const fs::perms mode = fs::status(folder / path, error).permissions();
    if (!error && (mode & fs::perms::owner_exec) != fs::perms::none) file["executable"] = true;
    manifest["files"].push_back(std::move(file));
  }
  return manifest;
}

Result<std::vector<PublishedPiece>> publish(const HostFolder& host, std::string_view token,
                                            std::string_view to, const std::vector<std::string>& pieces,
                                            const StopSignal* stop) {
  TRY(check_token(token));
  if (!to.starts_with("outputs/")) {
    return Error{Cause::bad_data, fmt::format("'{}' is not below outputs/", to)};
  }
  TRY(fs::path target, path_below(host.root, to));
  for (const std::string& name : pieces) {
    if (!is_name(name)) return Error{Cause::bad_data, fmt::format("'{}' is no name of an output", name)};
    TRY(path_below(host.root, fmt::format("{}/{}", to, name)));
  }
  TRY(go_on(stop));  // before its turn
  TRY(make_durable_folders(host.root, target));
  std::vector<PublishedPiece> published;
  for (const std::string& name : pieces) {
    std::string manifest = name + ".manifest.json";
    Place place{host.job(token) / "out" / name, target / name, target / manifest, host.job(token) / manifest};
    TRY(PublishedPiece piece, publish_piece(place, name, stop));
    published.push_back(std::move(piece));
  }
  return published;
}

}  // namespace gnnflow
