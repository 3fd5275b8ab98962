#pragma once

#include "blocks.h"

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

// Bytes from the pictures in docs/formats: every bit is placed on its own.

namespace oracle {

/// A row of bits, the first in the lowest place of the first byte, filled up with zeros to a multiple of `unit` bits.
inline Bytes bytes_of_bits(std::vector<bool> bits, std::size_t unit) {
  while (bits.size() % unit != 0) bits.push_back(false);
  Bytes bytes(bits.size() / 8, 0);
  for (std::size_t i = 0; i < bits.size(); ++i) {
    if (bits[i]) bytes[i / 8] = static_cast<std::uint8_t>(bytes[i / 8] + (1 << (i % 8)));
  }
  return bytes;
}

/// One signed byte a code, two's complement.
inline Bytes pack_i8(const CodeTable& table) {
  Bytes bytes;
  for (const int code : table.codes) bytes.push_back(static_cast<std::uint8_t>(code < 0 ? code + 256 : code));
  return bytes;
}

/// One bit a code, 1 is +1; each row filled up to whole bytes.
inline Bytes pack_u1(const CodeTable& table) {
  Bytes bytes;
  for (std::size_t r = 0; r < table.rows; ++r) {
    std::vector<bool> bits;
    for (std::size_t c = 0; c < table.depth; ++c) bits.push_back(table.at(r, c) == 1);
    const Bytes row = bytes_of_bits(bits, 8);
    bytes.insert(bytes.end(), row.begin(), row.end());
  }
  return bytes;
}

/// code + 2^(bits-1) in `bits` bits, one after another; each row filled up to whole 32-bit little-endian words.
inline Bytes pack_i32_ct(const CodeTable& table) {
  Bytes bytes;
  for (std::size_t r = 0; r < table.rows; ++r) {
    std::vector<bool> bits;
    for (std::size_t c = 0; c < table.depth; ++c) {
      const int field = table.at(r, c) + (1 << (table.bits - 1));
      for (int bit = 0; bit < table.bits; ++bit) bits.push_back(field / (1 << bit) % 2 == 1);
    }
    const Bytes row = bytes_of_bits(bits, 32);
    bytes.insert(bytes.end(), row.begin(), row.end());
  }
  return bytes;
}

/// Row r goes to byte row r mod (N/4), at bits 2 * (r div (N/4)); a field is code + 1.
inline Bytes pack_u2_hf(const CodeTable& table) {
  const std::size_t byte_rows = table.rows / 4;
  Bytes bytes(byte_rows * table.depth, 0);
  for (std::size_t r = 0; r < table.rows; ++r) {
    for (std::size_t c = 0; c < table.depth; ++c) {
      std::uint8_t& byte = bytes[r % byte_rows * table.depth + c];
      const int place = 1 << (2 * (r / byte_rows));
      byte = static_cast<std::uint8_t>(byte + (table.at(r, c) + 1) * place);
    }
  }
  return bytes;
}

/// code + 2^(bits-1), one after another; each group filled up with the field of the code 0.
inline Bytes pack_ort(int bits, const CodeTable& table) {
  Bytes bytes;
  for (std::size_t r = 0; r < table.rows; ++r) {
    std::vector<bool> row;
    for (std::size_t c = 0; c < (table.depth + table.group - 1) / table.group * table.group; ++c) {
      const int field = (c < table.depth ? table.at(r, c) : 0) + (1 << (bits - 1));
      for (int bit = 0; bit < bits; ++bit) row.push_back(field / (1 << bit) % 2 == 1);
    }
    const Bytes made = bytes_of_bits(row, 8);
    bytes.insert(bytes.end(), made.begin(), made.end());
  }
  return bytes;
}

inline Bytes pack(const std::string& layout, const CodeTable& table) {
  if (is_block_layout(layout)) return pack_blocks(layout, table);
  if (layout == "u2_ort") return pack_ort(2, table);
  if (layout == "u4_ort") return pack_ort(4, table);
  if (layout == "u8_ort") return pack_ort(8, table);
  if (layout == "i8") return pack_i8(table);
  if (layout == "u1") return pack_u1(table);
  if (layout == "i32_ct") return pack_i32_ct(table);
  if (layout == "u2_hf") return pack_u2_hf(table);
  throw std::invalid_argument("the oracle does not know layout " + layout + ": write it here first");
}

}  // namespace oracle
