// Lines of known_hosts: parsed as sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT", says.
#include "orchestrator/remote/known_hosts.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr int kUsualPort = 22;
constexpr int64_t kMostBytes = 64 << 20;
constexpr size_t kSha1Bytes = 20, kSha256Bytes = 32;
constexpr size_t kLongestType = 64;

std::string encode_base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(length));
  return text;
}

std::optional<std::string> decode_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  const int length =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                      reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (length < 0) return std::nullopt;
  const size_t padding = text.size() - text.find_last_not_of('=') - 1;
  if (padding > 2) return std::nullopt;
  bytes.resize(static_cast<size_t>(length) - padding);
  return bytes;
}

// |1|<base64 of salt>|<base64 of HMAC-SHA1 of the name>
bool hashed_name_is(std::string_view names, std::string_view host) {
  const std::vector<std::string> fields = split(names, '|');
  if (fields.size() != 4 || fields[1] != "1") return false;
  const auto salt = decode_base64(fields[2]), hash = decode_base64(fields[3]);
  if (!salt || !hash || hash->size() != kSha1Bytes) return false;
  std::array<unsigned char, EVP_MAX_MD_SIZE> found{};
  unsigned int length = 0;
  HMAC(EVP_sha1(), salt->data(), static_cast<int>(salt->size()),
       reinterpret_cast<const unsigned char*>(host.data()), host.size(), found.data(), &length);
  return length == kSha1Bytes && std::equal(hash->begin(), hash->end(), found.begin(),
                                            [](char a, unsigned char b) { return uint8_t(a) == b; });
}

// `*` is any text, `?` any letter, all else itself: also the brackets of "[host]:port".
bool pattern_is(std::string_view pattern, std::string_view text) {
  size_t at = 0, in = 0, star = std::string_view::npos, resume = 0;
  while (at < text.size()) {
    if (in < pattern.size() && pattern[in] == '*') {
      star = in++;
      resume = at;
    } else if (in < pattern.size() && (pattern[in] == '?' || pattern[in] == text[at])) {
      ++in;
      ++at;
    } else if (star != std::string_view::npos) {
      in = star + 1;
      at = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', in) == std::string_view::npos;
}

bool names_are(std::string_view names, const std::string& host) {
  if (names.starts_with('|')) return hashed_name_is(names, host);
  bool found = false;
  for (const std::string& name : split(lower(names), ',')) {
    if (name.starts_with('!')) {
      if (pattern_is(name.substr(1), host)) return false;
    } else {
      found = found || pattern_is(name, host);
    }
  }
  return found;
}

// Its first field, behind four bytes of length, is the type.
std::optional<std::string> type_in(std::string_view blob) {
  if (blob.size() < 4) return std::nullopt;
  size_t length = 0;
  for (const char byte : blob.substr(0, 4)) length = length << 8 | static_cast<uint8_t>(byte);
  if (length == 0 || length > kLongestType || blob.size() < 4 + length) return std::nullopt;
  return std::string(blob.substr(4, length));
}

std::string_view next_word(std::string_view& text) {
  const size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  const size_t end = std::min(text.find_first_of(" \t", begin), text.size());
  const std::string_view word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

}  // namespace

std::string HostKey::fingerprint() const {
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  unsigned int length = 0;
  EVP_Digest(blob.data(), blob.size(), hash.data(), &length, EVP_sha256(), nullptr);
  std::string text = encode_base64({reinterpret_cast<const char*>(hash.data()), kSha256Bytes});
  text.resize(text.find_last_not_of('=') + 1);
  return "SHA256:" + text;
}

Result<HostKey> parse_host_key(std::string_view base64) {
  const auto blob = decode_base64(base64);
  const auto type = blob ? type_in(*blob) : std::nullopt;
  if (!type) return Error{Cause::bad_data, "no ssh host key"};
  return HostKey{*type, *blob};
}

void KnownHosts::parse(std::string_view text, const std::string& file, std::vector<Line>& lines) {
  int number = 0;
  for (const std::string& whole : split(text, '\n')) {
    ++number;
    std::string_view rest = trimmed(whole);
    if (rest.empty() || rest.front() == '#') continue;
    Line line;
    line.place = fmt::format("{}:{}", file, number);
    std::string_view word = next_word(rest);
    if (word.starts_with('@')) {
      if (word != "@revoked") continue;
      line.revoked = true;
      word = next_word(rest);
    }
    line.names = word;
    const std::string_view type = next_word(rest);
    const Result<HostKey> key = parse_host_key(next_word(rest));
    if (!key || key->type != type) continue;
    line.key = *key;
    lines.push_back(std::move(line));
  }
}

Result<KnownHosts> KnownHosts::read(const std::vector<fs::path>& files) {
  KnownHosts known;
  for (const fs::path& file : files) {
    std::error_code error;
    // /dev/null is a way to say "none".
    if (!fs::exists(file, error) || fs::is_character_file(file, error)) continue;
    TRY(std::string text, read_file(file, kMostBytes));
    parse(text, file.string(), known.lines_);
  }
  return known;
}

std::vector<const KnownHosts::Line*> KnownHosts::lines_for(std::string_view host, int port) const {
  const std::string name = known_hosts_name(host, port);
  std::vector<const Line*> found;
  for (const Line& line : lines_) {
    if (names_are(line.names, name)) found.push_back(&line);
  }
  return found;
}

KeyFinding KnownHosts::look(std::string_view host, int port, const HostKey& key) const {
  const auto found = [](KeyVerdict verdict, const Line& line) {
    return KeyFinding{verdict, line.place, line.key};
  };
  const std::vector<const Line*> exact = lines_for(host, port);
  const std::vector<const Line*> bare =
      port == kUsualPort ? std::vector<const Line*>() : lines_for(host, kUsualPort);
  for (const auto& lines : {exact, bare}) {
    for (const Line* line : lines) {
      if (line->revoked && line->key == key) return found(KeyVerdict::revoked, *line);
    }
  }
  // As ssh does: a port that has a line of its own does not go by the bare name.
  const bool has_its_own =
      std::any_of(exact.begin(), exact.end(), [](const Line* line) { return !line->revoked; });
  for (const Line* line : has_its_own ? exact : bare) {
    if (!line->revoked && line->key == key) return found(KeyVerdict::known, *line);
  }
  const Line* other = nullptr;
  for (const Line* line : exact) {
    if (line->revoked) continue;
    if (line->key.type == key.type) return found(KeyVerdict::changed, *line);
    if (!other) other = line;
  }
  return other ? found(KeyVerdict::other_type, *other) : KeyFinding();
}

std::vector<std::string> KnownHosts::types(std::string_view host, int port) const {
  std::vector<std::string> types;
  const auto add = [&](const std::vector<const Line*>& lines) {
    for (const Line* line : lines) {
      const bool there = std::find(types.begin(), types.end(), line->key.type) != types.end();
      if (!line->revoked && !there) types.push_back(line->key.type);
    }
  };
  add(lines_for(host, port));
  if (types.empty() && port != kUsualPort) add(lines_for(host, kUsualPort));
  return types;
}

std::string known_hosts_name(std::string_view host, int port) {
  const std::string name = lower(host);
  return port == kUsualPort ? name : fmt::format("[{}]:{}", name, port);
}

std::string known_hosts_line(std::string_view host, int port, const HostKey& key) {
  return fmt::format("{} {} {}", known_hosts_name(host, port), key.type, encode_base64(key.blob));
}

Status record_host_key(const fs::path& file, std::string_view host, int port, const HostKey& key) {
  const std::string line = known_hosts_line(host, port, key);
  const std::string older = fmt::format("{} {} ", known_hosts_name(host, port), key.type);
  std::string text;
  std::error_code error;
  if (fs::exists(file, error)) {
    TRY(std::string before, read_file(file, kMostBytes));
    for (const std::string& kept : split(trimmed(before), '\n')) {
      if (!kept.starts_with(older)) text += kept + "\n";
    }
  }
  TRY(create_folders(file.parent_path()));
  return write_file_atomically(file, text + line + "\n", 0600);
}

}  // namespace gnnflow
