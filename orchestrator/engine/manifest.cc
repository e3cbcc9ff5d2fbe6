// The list of files of a piece.
#include "orchestrator/engine/manifest.h"

#include <algorithm>

#include "common/base/digest.h"
#include "common/base/json.h"

namespace gnnflow {
namespace {

constexpr std::string_view kFormat = "gnnflow.manifest";
constexpr int64_t kVersion = 1;

Result<std::vector<HostFile>> files_in(const Json& list, std::string_view where) {
  std::vector<HostFile> files;
  for (const Json& entry : list.array()) {
    Fields fields(entry, std::string(where) + ": file " + std::to_string(files.size()));
    HostFile file{fields.text("path"), fields.integer("bytes"), fields.text("digest"),
                  fields.boolean_or("executable", false)};
    TRY(fields.finish());
    if (!is_inside(file.path) || file.bytes < 0 || file.digest.empty())
      return Error{Cause::bad_data, std::string(where) + ": no file can be '" + entry.dump() + "'"};
    files.push_back(std::move(file));
  }
  return files;
}

}  // namespace

fs::path manifest_of(const fs::path& piece) {
  fs::path path = piece;
  path += ".manifest.json";
  return path;
}

Result<std::vector<HostFile>> parse_manifest(std::string_view text, std::string_view where) {
  TRY(const Json json, Json::parse(text).within(where));
  Fields fields(json, where);
  if (fields.text("format") != kFormat) fields.fail("this is no list of the files of a piece");
  if (const int64_t version = fields.integer("version"); version != kVersion)
    fields.fail("version " + std::to_string(version) + " is not " + std::to_string(kVersion) +
                ", the one this program reads");
  const Json& list = fields.list("files");
  TRY(fields.finish());
  return files_in(list, where);
}

Result<std::vector<HostFile>> parse_listing(std::string_view text, std::string_view where) {
  TRY(const Json json, Json::parse(text).within(where));
  const Json& list = json.get("files");
  if (!list.is_array()) return Error{Cause::bad_data, std::string(where) + ": has no list 'files'"};
  return files_in(list, where);
}

std::string write_manifest(const std::vector<HostFile>& files) {
  std::vector<HostFile> sorted = files;
  std::sort(sorted.begin(), sorted.end(),
            [](const HostFile& a, const HostFile& b) { return a.path < b.path; });
  Json json;
  json["format"] = kFormat;
  json["version"] = kVersion;
  json["files"] = Json(Json::Array{});
  for (const HostFile& file : sorted) {
    Json entry;
    entry["path"] = file.path;
    entry["bytes"] = file.bytes;
    entry["digest"] = file.digest;
    if (file.executable) entry["executable"] = true;
    json["files"].push_back(std::move(entry));
  }
  return json.dump();
}

std::string digest_of_files(const std::vector<HostFile>& files) {
  Digester digester;
  for (const HostFile& file : files) {
    digester.add_field(file.path);
    digester.add_field(file.digest);
  }
  return digester.text();
}

int64_t bytes_of(const std::vector<HostFile>& files) {
  int64_t sum = 0;
  for (const HostFile& file : files) sum += file.bytes;
  return sum;
}

std::string first_misfit(const fs::path& folder, const std::vector<HostFile>& files) {
  for (const HostFile& file : files) {
    std::error_code error;
    const auto size = fs::file_size(folder / file.path, error);
    if (error) return "file " + file.path + " is gone";
    if (static_cast<int64_t>(size) != file.bytes) {
      return "file " + file.path + " has " + std::to_string(size) + " bytes instead of " +
             std::to_string(file.bytes);
    }
    const fs::perms mode = fs::status(folder / file.path, error).permissions();
    if (file.executable && !error && (mode & fs::perms::owner_exec) == fs::perms::none)
      return "file " + file.path + " cannot be run any more";
  }
  return "";
}

}  // namespace gnnflow
