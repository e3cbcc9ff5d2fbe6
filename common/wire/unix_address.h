// Addresses of Unix sockets, and who sits at the other end.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "common/base/file.h"
#include "common/base/result.h"

namespace gnnflow {

struct UnixAddress {
  sockaddr_un value{};
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&value); }
};

Result<UnixAddress> unix_address(const fs::path& path);  // sun_path holds 108 bytes
Status check_peer_uid(int socket);  // `unreachable` when another user is at the other end

}  // namespace gnnflow
