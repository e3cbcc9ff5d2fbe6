// Where pieces lie, and bringing them to where they are read.
#include "orchestrator/engine/artifacts.h"

#include <algorithm>
#include <utility>

#include "common/base/digest.h"
#include "orchestrator/engine/manifest.h"

namespace gnnflow {
namespace {

const TransferProgress kNoProgress = [](int64_t) {};

// Where a piece that was made elsewhere is put, below a root.
fs::path brought_path(const Piece& piece) {
  return fs::path("data") / (piece.digest + ".whole") / piece.name;
}

Result<HostFile> host_file(const fs::path& file, const StopSignal& halt) {
  std::error_code error;
  const auto bytes = fs::file_size(file, error);
  if (error) return Error{Cause::bad_data, file.string() + " cannot be read: " + error.message()};
  TRY(auto digest, digest_of_file(file, &halt));
  const fs::perms mode = fs::status(file, error).permissions();
  const bool executable = !error && (mode & fs::perms::owner_exec) != fs::perms::none;
  return HostFile{file.filename(), static_cast<int64_t>(bytes), digest, executable};
}

Status put_piece(Host& host, const fs::path& from, const fs::path& to, const StopSignal& halt) {
  TRY(auto text, read_file(manifest_of(from), kMostManifestBytes));
  TRY(auto files, parse_manifest(text, manifest_of(from).string()));
  TRY(host.put(from, files, to, kNoProgress, halt));
  TRY(auto manifest, host_file(manifest_of(from), halt));
  return host.put(from.parent_path(), {manifest}, to.parent_path(), kNoProgress, halt);
}

Status get_piece(Host& host, const fs::path& from, const fs::path& to, const StopSignal& halt) {
  TRY(auto text, host.read(manifest_of(from), kMostManifestBytes));
  TRY(auto files, parse_manifest(text, "manifest of " + from.string() + " on " + host.name()));
  TRY(create_folders(to));
  TRY(host.get(from, files, to, kNoProgress, halt));
  const fs::path manifest = manifest_of(from);
  return host.get(from.parent_path(),
                  {{manifest.filename(), static_cast<int64_t>(text.size()), digest_of(text)}},
                  to.parent_path(), kNoProgress, halt);
}

Status check_piece(Host& host, const fs::path& path, const StopSignal& halt) {
  TRY(auto text, host.read(manifest_of(path), kMostManifestBytes));
  TRY(auto files, parse_manifest(text, "manifest of " + path.string() + " on " + host.name()));
  TRY(auto there, host.check(files, path, false, halt));
  for (size_t i = 0; i < there.size(); ++i) {
    if (!there[i])
      return Error{Cause::not_found, path.string() + ": file " + files[i].path +
                                         " is gone, has another size or cannot be run any more"};
  }
  return {};
}

Status put_local(Host& host, const fs::path& from, const fs::path& to, const StopSignal& halt) {
  std::error_code error;
  std::vector<HostFile> files;
  if (!fs::is_directory(from, error)) {
    TRY(auto file, host_file(from, halt));
    return host.put(from.parent_path(), {file}, to, kNoProgress, halt);
  }
  for (auto at = fs::recursive_directory_iterator(from, error);
       !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    std::error_code unknown;
    if (!at->is_regular_file(unknown)) continue;
    TRY(auto file, host_file(at->path(), halt));
    file.path = at->path().lexically_relative(from).string();
    files.push_back(std::move(file));
  }
  if (error) return Error{Cause::bad_data, from.string() + " cannot be read: " + error.message()};
  return host.put(from, files, to / from.filename(), kNoProgress, halt);
}

}  // namespace

std::string part_name(int part) { return "part-" + std::to_string(part); }

Result<std::vector<LocationRow>> Locations::of(const std::string& digest, const std::string& piece) const {
  std::vector<LocationRow> found;
  if (!store_) return found;
  TRY(auto rows, store_->locations_of(digest));
  for (LocationRow& row : rows) {
    if (row.piece == piece && row.verified) found.push_back(std::move(row));
  }
  return found;
}

Result<std::optional<std::string>> Locations::on(const std::string& host, const std::string& digest,
                                                 const std::string& piece) const {
  TRY(auto rows, of(digest, piece));
  for (const LocationRow& row : rows) {
    if (row.host == host) return std::optional(row.path);
  }
  return std::optional<std::string>();
}

std::string Locations::fault(const LocationRow& location) const {
  const auto root = roots_.find(location.host);
  if (root == roots_.end()) return "";
  // The manifest of a part lies in the partition's folder and names the files from there; where the partition
  // was made, its own manifest names them all.
  const fs::path folder = root->second / location.path;
  std::error_code error;
  fs::path manifest = manifest_of(folder / location.piece);
  if (!location.piece.starts_with("part-") || !fs::exists(manifest, error)) manifest = manifest_of(folder);
  if (!fs::exists(folder, error)) return "it is gone";
  auto text = read_file(manifest, kMostManifestBytes);
  if (!text) return "its list of files is gone";
  auto files = parse_manifest(*text, manifest.string());
  return files ? first_misfit(folder, *files) : "its list of files is damaged";
}

Result<fs::path> Artifacts::partition_on(const std::string& host, const std::string& digest) {
  TRY(auto rows, store_.locations_of(digest));
  for (const LocationRow& row : rows) {
    if (row.host == host && row.verified && row.piece.starts_with("part-"))
      return pool_.root(host) / row.path;
  }
  return Error{Cause::bad_state, "no part of partition " + digest + " lies on host " + host};
}

void Artifacts::bring(const std::string& host, const Piece& piece, Then then) {
  auto here = locations_.on(host, piece.digest, piece.name);
  if (!here) return then(std::move(here).error());
  if (*here && looked_at_.count(key_of(host, piece)) != 0) return then(pool_.root(host) / **here);
  auto& waiting = moving_[key_of(host, piece)];
  waiting.push_back(std::move(then));
  if (waiting.size() > 1) return;
  if (!*here) return bring_from_others(host, piece);
  const LocationRow copy{piece.digest, piece.name, host, **here, true};
  look(copy, [this, copy, host, piece](const Status& there) {
    if (there) return finish(host, piece, pool_.root(host) / copy.path);
    if (forget_if_gone(copy, there.error())) return bring_from_others(host, piece);
    finish(host, piece, there.error());
  });
}

// Every file with its size.
void Artifacts::look(const LocationRow& copy, std::function<void(Status)> then) {
  if (locations_.seen().count(copy.host) != 0) {
    const std::string fault = locations_.fault(copy);
    return then(fault.empty() ? Status() : Status(Error{Cause::not_found, fault}));
  }
  pool_.work<Status>(
      copy.host,
      [path = fs::path(copy.path), halt = &halt_](Host& host) { return check_piece(host, path, *halt); },
      std::move(then));
}

// Not because nobody could be asked.
bool Artifacts::forget_if_gone(const LocationRow& copy, const Error& error) {
  if (error.cause != Cause::not_found && error.cause != Cause::bad_data) return false;
  return static_cast<bool>(store_.remove_location(copy));
}

// All other hosts have it from the controller, where it comes once however many want it.
void Artifacts::bring_from_others(const std::string& host, const Piece& piece) {
  const std::string controller(kController);
  if (host != controller) {
    return bring(controller, piece, [this, host, piece](const Result<fs::path>& local) {
      if (!local) return finish(host, piece, local);
      send(host, *local, piece,
           [this, host, piece](const Result<fs::path>& sent) { finish(host, piece, sent); });
    });
  }
  auto copies = locations_.of(piece.digest, piece.name);
  if (!copies) return finish(controller, piece, std::move(copies).error());
  std::erase_if(*copies, [&](const LocationRow& row) { return !pool_.knows(row.host) || row.host == host; });
  fetch_from_next(piece, std::move(*copies), std::nullopt);
}

void Artifacts::fetch_from_next(const Piece& piece, std::vector<LocationRow> sources,
                                std::optional<Error> last) {
  const std::string controller(kController);
  if (sources.empty()) {
    const Error none{Cause::bad_state, "no host of this workflow holds " + piece.name + " " + piece.digest};
    return finish(controller, piece, last.value_or(none));
  }
  const LocationRow source = sources.front();
  sources.erase(sources.begin());
  fetch(source.host, source.path, piece, [=, this](Result<fs::path> local) {
    if (local) return finish(controller, piece, local);
    forget_if_gone(source, local.error());
    fetch_from_next(piece, sources, std::move(local).error());
  });
}

void Artifacts::fetch(const std::string& source, const std::string& path, const Piece& piece, Then then) {
  const std::string controller(kController);
  const fs::path to = brought_path(piece);
  if (auto status = store_.set_location({piece.digest, piece.name, controller, to.string(), false});
      !status) {
    return then(std::move(status).error());
  }
  const fs::path local = pool_.root(controller) / to;
  pool_.work<Status>(
      source, [path, local, halt = &halt_](Host& host) { return get_piece(host, path, local, *halt); },
      [this, piece, controller, to, then](Status status) {
        if (!status) return then(std::move(status).error().within("fetching " + piece.name));
        then(arrived(controller, piece, to.string()));
      });
}

void Artifacts::send(const std::string& host, const fs::path& from, const Piece& piece, Then then) {
  const fs::path to = brought_path(piece);
  if (auto status = store_.set_location({piece.digest, piece.name, host, to.string(), false}); !status) {
    return then(std::move(status).error());
  }
  pool_.work<Status>(
      host, [from, to, halt = &halt_](Host& at) { return put_piece(at, from, to, *halt); },
      [this, host, piece, to, then](Status status) {
        if (!status)
          return then(std::move(status).error().within("sending " + piece.name + " to host " + host));
        then(arrived(host, piece, to.string()));
      });
}

Result<fs::path> Artifacts::arrived(const std::string& host, const Piece& piece, const std::string& path) {
  TRY(store_.set_location({piece.digest, piece.name, host, path, true}));
  return pool_.root(host) / path;
}

void Artifacts::finish(const std::string& host, const Piece& piece, const Result<fs::path>& result) {
  if (result) looked_at_.insert(key_of(host, piece));
  for (auto& then : std::exchange(moving_[key_of(host, piece)], {})) then(result);
}

void Artifacts::bring_local(const std::string& host, const fs::path& from, const std::string& digest,
                            Then then) {
  if (host == kController) return then(from);
  const fs::path to = fs::path("data") / (digest + ".local");
  pool_.work<Status>(
      host, [from, to, halt = &halt_](Host& at) { return put_local(at, from, to, *halt); },
      [this, host, from, to, then](Status status) {
        if (!status)
          return then(std::move(status).error().within("sending " + from.string() + " to host " + host));
        then(pool_.root(host) / to / from.filename());
      });
}

}  // namespace gnnflow
