#include "raw_file.h"

namespace bnq::test {

std::string with_length(std::uint64_t length, std::string_view rest) {
  std::string bytes;
  for (int at = 0; at < 8; ++at) bytes += static_cast<char>(length >> (8 * at) & 0xFFU);
  return bytes.append(rest);
}

std::string raw_file(std::string_view header, std::size_t data_bytes) {
  std::string bytes = with_length(header.size(), header);
  for (std::size_t at = 0; at < data_bytes; ++at) bytes += static_cast<char>(at % 251);
  return bytes;
}

std::string raw_entry(std::string_view name, std::string_view dtype, std::string_view shape, std::string_view offsets) {
  std::string text = "\"";
  text.append(name).append("\":{\"dtype\":\"").append(dtype);
  text.append("\",\"shape\":").append(shape).append(",\"data_offsets\":").append(offsets).append("}");
  return text;
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string all;
  all.reserve(text.size() * times);
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

}  // namespace bnq::test
