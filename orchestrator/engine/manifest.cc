// The list of files of a piece.
#include "orchestrator/engine/manifest.h"

#include "common/base/digest.h"
#include "common/base/json.h"

namespace gnnflow {

fs::path manifest_of(const fs::path& piece) {
  fs::path path = piece;
  path += ".manifest.json";
  return path;
}

Result<std::vector<HostFile>> parse_manifest(std::string_view text, std::string_view where) {
  auto json = Json::parse(text);
  if (!json) return std::move(json).error().within(where);
  const Json& list = json->get("files");
  if (!list.is_array()) return Error{Cause::bad_data, std::string(where) + ": has no list 'files'"};
  std::vector<HostFile> files;
  for (const Json& entry : list.array()) {
    HostFile file{entry.text_or("path", ""), entry.integer_or("bytes", -1), entry.text_or("digest", "")};
    if (!is_inside(file.path) || file.bytes < 0 || file.digest.empty()) {
      return Error{Cause::bad_data, std::string(where) + ": no file can be '" + entry.dump() + "'"};
    }
    files.push_back(std::move(file));
  }
  return files;
}

std::string write_manifest(const std::vector<HostFile>& files) {
  Json json;
  json["files"] = Json(Json::Array{});
  for (const HostFile& file : files) {
    Json entry;
    entry["path"] = file.path;
    entry["bytes"] = file.bytes;
    entry["digest"] = file.digest;
    json["files"].push_back(std::move(entry));
  }
  return json.dump_pretty();
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
  }
  return "";
}

}  // namespace gnnflow
