// Small things about text: splitting, numbers, durations, suggestions.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace gnnflow {

std::vector<std::string> split(std::string_view text, char separator);
std::string join(std::span<const std::string> words, std::string_view separator);
std::string_view trimmed(std::string_view text);
std::string lower(std::string_view text);
// What another program said, for the middle of a message: trimmed, at most so long, control characters blank.
std::string one_line(std::string_view text, size_t most = std::string_view::npos);

// The whole text or nothing; no leading '+', no octal, no locale.
std::optional<int64_t> parse_integer(std::string_view text);
std::optional<double> parse_number(std::string_view text);
// "90s", "10m", "4h", "1d", "250ms".
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
// "512", "64KiB", "1GiB".
std::optional<int64_t> parse_bytes(std::string_view text);

std::string format_bytes(double bytes);                         // "3.4 GiB"
std::string format_duration(std::chrono::milliseconds length);  // "2m 05s"
std::string format_count(int64_t count);                        // "12,400,000"
std::string hex(std::span<const std::byte> bytes);

// [A-Za-z0-9_-]{1,64}: names of steps, hosts, node types, relations.
bool is_name(std::string_view text);

// The candidate nearest to `word`, if near enough for a "did you mean".
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace gnnflow
