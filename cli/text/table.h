#pragma once

#include <bnq/tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bnq::cli {

/// Columns that line up. One without any content is left out; the last is not padded, so put long names there.
class Table {
 public:
  enum class Align { left, right };
  struct Column {
    std::string title;
    Align align = Align::right;
  };

  explicit Table(std::vector<Column> columns);

  void add(std::vector<std::string> cells);

  /// Titles (unless all are empty) and rows, one line each.
  [[nodiscard]] std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

using Facts = std::vector<std::pair<std::string, std::string>>;

/// "name  value" lines, the values aligned.
[[nodiscard]] std::string facts(const Facts& lines);

[[nodiscard]] std::string grouped(std::uint64_t number);                    ///< "90,868,376"
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);                  ///< "90,868,376 bytes (90.9 MB)"
[[nodiscard]] std::string percent(double share);                            ///< "25.4 %" of 0.254
[[nodiscard]] std::string number(const char* format, double value);         ///< printf of one value
[[nodiscard]] std::string count(std::uint64_t n, const std::string& noun);  ///< "1 tensor", "1,200 tensors"

/// "90,868,376 -> 23,113,112 bytes (90.9 -> 23.1 MB), 25.4 %"
[[nodiscard]] std::string change(std::uint64_t bytes_before, std::uint64_t bytes_after);

/// A tensor's name as a cell of a table; the empty one is shown as ''.
[[nodiscard]] std::string name_text(std::string_view name);

/// Text from a file made safe for a terminal: control characters and marks that turn text round become \xNN.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace bnq::cli
