#include "table.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace bnq::cli {
namespace {

constexpr std::uint64_t least_megabytes = 50'000;  // fewer bytes would be "0.0 MB"

/// Characters, not bytes: what follows the first byte of a UTF-8 sequence takes no room.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string padded(const std::string& text, std::size_t to, Table::Align align) {
  const std::string blanks(to - std::min(to, width(text)), ' ');
  return align == Table::Align::left ? text + blanks : blanks + text;
}

}  // namespace

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

void Table::add(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  std::vector<std::string> lines(rows_.size() + 1);
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    std::size_t widest = 0;
    for (const auto& row : rows_) widest = std::max(widest, width(row[c]));
    if (widest == 0) continue;
    widest = std::max(widest, width(columns_[c].title));
    const auto append = [&](std::string& line, const std::string& cell) {
      if (!line.empty()) line += "  ";
      line += padded(cell, widest, columns_[c].align);
    };
    append(lines[0], columns_[c].title);
    for (std::size_t r = 0; r < rows_.size(); ++r) append(lines[r + 1], rows_[r][c]);
  }
  std::string out;
  for (std::string& line : lines) {
    line.erase(line.find_last_not_of(' ') + 1);
    if (!line.empty()) out += line + "\n";
  }
  return out;
}

std::string facts(const Facts& lines) {
  Table table({{"", Table::Align::left}, {"", Table::Align::left}});
  for (const auto& [name, value] : lines) table.add({name, value});
  return table.text();
}

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string number(const char* format, double value) {
  char buffer[64];
  const int length = std::snprintf(buffer, sizeof buffer, format, value);
  return {buffer, static_cast<std::size_t>(std::clamp(length, 0, static_cast<int>(sizeof buffer) - 1))};
}

std::string bytes_text(std::uint64_t bytes) {
  std::string text = grouped(bytes) + " bytes";
  if (bytes >= least_megabytes) text += " (" + number("%.1f", static_cast<double>(bytes) / 1e6) + " MB)";
  return text;
}

std::string percent(double share) {
  if (share == 0) return "0 %";
  if (share < 0.0005) return "<0.1 %";
  return number("%.1f %%", 100 * share);
}

std::string count(std::uint64_t n, const std::string& noun) { return grouped(n) + " " + noun + (n == 1 ? "" : "s"); }

std::string change(std::uint64_t bytes_before, std::uint64_t bytes_after) {
  const auto before = static_cast<double>(bytes_before);
  const auto after = static_cast<double>(bytes_after);
  std::string text = grouped(bytes_before) + " -> " + grouped(bytes_after) + " bytes";
  if (std::max(bytes_before, bytes_after) >= least_megabytes) {
    text += " (" + number("%.1f", before / 1e6) + " -> " + number("%.1f", after / 1e6) + " MB)";
  }
  if (bytes_before > 0) text += ", " + percent(after / before);
  return text;
}

std::string name_text(std::string_view name) { return name.empty() ? "''" : printable(name); }

std::string printable(std::string_view text) {
  const auto byte = [&](std::size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U; };
  // Bytes of the sequence at `at` that must not reach a terminal.
  const auto harmful = [&](std::size_t at) -> std::size_t {
    const unsigned next = byte(at + 1);
    const unsigned last = byte(at + 2);
    if (byte(at) < 0x20 || byte(at) == 0x7F) return 1;
    if (byte(at) == 0xC2 && next >= 0x80 && next < 0xA0) return 2;
    const bool turns = (next == 0x80 && last >= 0xAA && last <= 0xAE) || (next == 0x81 && last >= 0xA6 && last <= 0xA9);
    return byte(at) == 0xE2 && turns ? 3 : 0;
  };
  std::string out;
  for (std::size_t at = 0, escaped_to = 0; at < text.size(); ++at) {
    escaped_to = std::max(escaped_to, at + harmful(at));
    if (at >= escaped_to) {
      out += text[at];
    } else {
      char escaped[5];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte(at));
      out += escaped;
    }
  }
  return out;
}

}  // namespace bnq::cli
