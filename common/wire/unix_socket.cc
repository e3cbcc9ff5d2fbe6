// Unix sockets: pairs, listeners, and the place of a daemon's socket.
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "common/wire/message.h"
#include "common/wire/unix_address.h"

namespace gnnflow {
namespace {

constexpr int kBacklog = 16;

bool somebody_serves(const UnixAddress& address) {
  FileDescriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // Only a refusal proves that the socket is dead: a full backlog is a living owner.
  return ::connect(probe.get(), address.get(), sizeof address.value) == 0 || errno != ECONNREFUSED;
}

// Absent is fine; else a folder that belongs to this user and that no other may enter.
Status check_private_folder(const fs::path& folder) {
  struct stat info {};
  if (::lstat(folder.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return system_error(folder.string(), errno);
  }
  if (!S_ISDIR(info.st_mode) || info.st_uid != ::geteuid() || (info.st_mode & 077) != 0) {
    return Error{Cause::unreachable,
                 fmt::format("{} is not a folder of this user alone: remove it", folder.string())};
  }
  return {};
}

}  // namespace

Result<UnixAddress> unix_address(const fs::path& path) {
  UnixAddress address;
  const std::string& text = path.native();
  if (text.size() >= sizeof address.value.sun_path) {
    return Error{Cause::bad_usage, fmt::format("{}: a socket's path holds {} bytes at most", text,
                                               sizeof address.value.sun_path - 1)};
  }
  address.value.sun_family = AF_UNIX;
  std::memcpy(address.value.sun_path, text.data(), text.size());
  return address;
}

Status check_peer_uid(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return system_error("asking who connects", errno);
  }
  if (peer.uid != ::geteuid()) {
    return Error{Cause::unreachable, fmt::format("refused: user {} is at the other end", peer.uid)};
  }
  return {};
}

Result<std::pair<FileDescriptor, FileDescriptor>> make_socket_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return system_error("making a socket pair", errno);
  }
  return std::pair(FileDescriptor(ends[0]), FileDescriptor(ends[1]));
}

Result<FileDescriptor> listen_unix(const fs::path& path) {
  TRY(UnixAddress address, unix_address(path));
  FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return system_error("making a socket", errno);
  // Before bind: so there is no moment in which others may connect.
  if (::fchmod(socket.get(), 0600) != 0) return system_error("chmod of a socket", errno);
  int bound = ::bind(socket.get(), address.get(), sizeof address.value);
  if (bound != 0 && errno == EADDRINUSE) {
    if (somebody_serves(address)) {
      return Error{Cause::locked, fmt::format("{}: another process serves this socket", path.string())};
    }
    ::unlink(path.c_str());
    bound = ::bind(socket.get(), address.get(), sizeof address.value);
  }
  if (bound != 0) return system_error("binding " + path.string(), errno);
  if (::listen(socket.get(), kBacklog) != 0) return system_error("listening on " + path.string(), errno);
  return socket;
}

Result<FileDescriptor> accept_unix(int listener) {
  FileDescriptor socket(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (!socket) return system_error("accepting a connection", errno);
  TRY(check_peer_uid(socket.get()));
  return socket;
}

Result<fs::path> daemon_socket_path(const fs::path& host_root) {
  std::error_code ignored;
  fs::path root = fs::weakly_canonical(host_root, ignored);
  if (ignored) root = host_root;
  if (!root.has_filename()) root = root.parent_path();
  fs::path folder = fmt::format("/tmp/gnnflow-{}-{}", ::geteuid(), digest_of(root.native()));
  TRY(check_private_folder(folder));
  return folder / "daemon.sock";
}

Status make_socket_folder(const fs::path& socket) {
  fs::path folder = socket.parent_path();
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return system_error("making " + folder.string(), errno);
  return check_private_folder(folder);
}

}  // namespace gnnflow
