// Small things about text: splitting, numbers, durations, suggestions.
#include "common/base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "common/base/utf8.h"

namespace gnnflow {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr std::array kDurations = {Unit{"ms", 1}, Unit{"s", 1e3}, Unit{"m", 6e4}, Unit{"h", 3.6e6},
                                   Unit{"d", 8.64e7}};
constexpr std::array kSizes = {Unit{"", 1}, Unit{"KiB", 0x1p10}, Unit{"MiB", 0x1p20}, Unit{"GiB", 0x1p30},
                               Unit{"TiB", 0x1p40}};
constexpr double kLargest = 9e18;  // below the largest int64_t, whatever the rounding

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool has_leading_zero(std::string_view digits) {
  return digits.size() > 1 && digits[0] == '0' && is_digit(digits[1]);
}

// A plain decimal followed by one of the units, in units of factor 1.
std::optional<double> parse_with_unit(std::string_view text, std::span<const Unit> units) {
  size_t end = 0;
  while (end < text.size() && (is_digit(text[end]) || text[end] == '.')) ++end;
  if (end == 0 || !is_digit(text[0])) return std::nullopt;
  std::optional<double> number = parse_number(text.substr(0, end));
  if (!number) return std::nullopt;
  for (const Unit& unit : units) {
    if (unit.name != text.substr(end)) continue;
    double value = *number * unit.factor;
    if (value > kLargest) return std::nullopt;
    return value;
  }
  return std::nullopt;
}

// Insertions, deletions, replacements, and swaps of neighbours.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t replaced = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  size_t begin = 0;
  while (true) {
    size_t end = text.find(separator, begin);
    if (end == std::string_view::npos) break;
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  parts.emplace_back(text.substr(begin));
  return parts;
}

std::string join(std::span<const std::string> words, std::string_view separator) {
  return fmt::format("{}", fmt::join(words.begin(), words.end(), separator));
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

std::string one_line(std::string_view text, size_t most) {
  std::string line;
  for (text = trimmed(text); !text.empty();) {
    const std::string_view letter = text.substr(0, std::max<size_t>(1, utf8_length(text)));
    const std::string_view shown = is_unprintable(letter) ? " " : letter;
    if (line.size() + shown.size() > most) break;
    line += shown;
    text.remove_prefix(letter.size());
  }
  return std::string(trimmed(line));
}

std::optional<int64_t> parse_integer(std::string_view text) {
  std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (has_leading_zero(digits)) return std::nullopt;
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_number(std::string_view text) {
  std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (has_leading_zero(digits)) return std::nullopt;
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  std::optional<double> value = parse_with_unit(text, kDurations);
  if (!value) return std::nullopt;
  return std::chrono::milliseconds(std::llround(*value));
}

std::optional<int64_t> parse_bytes(std::string_view text) {
  if (std::optional<int64_t> plain = parse_integer(text)) {
    return *plain < 0 ? std::nullopt : plain;  // exact, where a double would round
  }
  std::optional<double> value = parse_with_unit(text, kSizes);
  if (!value || *value != std::floor(*value)) return std::nullopt;
  return static_cast<int64_t>(*value);
}

std::string format_bytes(double bytes) {
  if (bytes < 1024) return fmt::format("{:.0f} B", bytes);
  size_t unit = 0;
  while (unit + 1 < kSizes.size() && bytes / kSizes[unit].factor >= 1024) ++unit;
  return fmt::format("{:.1f} {}", bytes / kSizes[unit].factor, kSizes[unit].name);
}

std::string format_duration(std::chrono::milliseconds length) {
  int64_t milliseconds = length.count();
  if (milliseconds < 0) return "-" + format_duration(-length);
  if (milliseconds < 1000) return fmt::format("{}ms", milliseconds);
  if (milliseconds < 60'000) return fmt::format("{}.{}s", milliseconds / 1000, milliseconds % 1000 / 100);
  int64_t seconds = milliseconds / 1000;
  if (seconds < 3600) return fmt::format("{}m {:02}s", seconds / 60, seconds % 60);
  if (seconds < 86400) return fmt::format("{}h {:02}m", seconds / 3600, seconds % 3600 / 60);
  return fmt::format("{}d {:02}h", seconds / 86400, seconds % 86400 / 3600);
}

std::string format_count(int64_t count) {
  std::string digits = fmt::format("{}", count);
  size_t first = count < 0 ? 1 : 0;
  for (size_t at = digits.size(); at > first + 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string hex(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (std::byte byte : bytes) {
    text += kDigits[std::to_integer<unsigned>(byte) >> 4];
    text += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
  });
}

std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates) {
  constexpr size_t kLongest = 100;  // the distance costs the product of the lengths
  if (word.empty() || word.size() > kLongest) return std::nullopt;
  size_t best = std::max<size_t>(1, word.size() / 3) + 1;
  std::optional<std::string> found;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kLongest) continue;
    size_t distance = edit_distance(lower(word), lower(candidate));
    if (distance < best) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

}  // namespace gnnflow
