#pragma once

#include "code_table.h"
#include "float16.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

// Layouts of other programs that hold scales, from the pictures in docs/formats: every code goes to its place on its
// own.

namespace oracle {

/// Adds `field`, shifted up by `bits`, to a byte.
inline void add_field(std::uint8_t& byte, int field, std::size_t bits) {
  byte = static_cast<std::uint8_t>(byte + field * (1 << bits));
}

inline void append(Bytes& bytes, std::uint32_t word, int count) {
  for (int i = 0; i < count; ++i) {
    bytes.push_back(static_cast<std::uint8_t>(word % 256));
    word /= 256;
  }
}

/// Zeros, with the scale as f16 at `at`.
inline Bytes block_bytes(std::size_t size, std::size_t at, float scale) {
  const std::uint32_t bits = bits_of(format_f16, static_cast<double>(scale));
  Bytes bytes(size, 0);
  bytes.at(at) = static_cast<std::uint8_t>(bits % 256);
  bytes.at(at + 1) = static_cast<std::uint8_t>(bits / 256);
  return bytes;
}

/// The codes and the scale of one block.
struct BlockOfCodes {
  std::vector<int> codes;
  float scale;
};

/// Element e of 256 lies in the byte [e div 128][e mod 32], at bits 2 * (e mod 128 div 32).
inline Bytes tq2_0_block(const BlockOfCodes& block) {
  Bytes bytes = block_bytes(66, 64, block.scale);
  for (std::size_t e = 0; e < 256; ++e) {
    add_field(bytes[e / 128 * 32 + e % 32], block.codes[e] + 1, 2 * (e % 128 / 32));
  }
  return bytes;
}

/// Digit n of byte b is worth 3^(4 - n); the byte is the smallest number of 256ths that is not below q / 243.
inline Bytes tq1_0_block(const BlockOfCodes& block) {
  std::vector<int> q(52, 0);
  const std::vector<int> worth{81, 27, 9, 3, 1};
  for (std::size_t e = 0; e < 256; ++e) {
    const int digit = block.codes[e] + 1;
    if (e < 160) {
      q[e % 32] += digit * worth[e / 32];
    } else if (e < 240) {
      q[32 + (e - 160) % 16] += digit * worth[(e - 160) / 16];
    } else {
      q[48 + (e - 240) % 4] += digit * worth[(e - 240) / 4];
    }
  }
  Bytes bytes = block_bytes(54, 52, block.scale);
  for (std::size_t b = 0; b < q.size(); ++b) {
    while (bytes[b] * 243 < q[b] * 256) ++bytes[b];
  }
  return bytes;
}

inline Bytes q2_0_block(const BlockOfCodes& block) {
  Bytes bytes = block_bytes(18, 0, block.scale);
  for (std::size_t e = 0; e < 64; ++e) add_field(bytes[2 + e / 4], block.codes[e] + 1, 2 * (e % 4));
  return bytes;
}

inline Bytes q8_0_block(const BlockOfCodes& block) {
  Bytes bytes = block_bytes(34, 0, block.scale);
  for (std::size_t e = 0; e < 32; ++e) bytes[2 + e] = static_cast<std::uint8_t>((block.codes[e] + 256) % 256);
  return bytes;
}

/// With a code 8 the whole block changes its sign, the scale too.
inline Bytes q4_0_block(const BlockOfCodes& block) {
  bool turned = false;
  for (const int code : block.codes) turned = turned || code == 8;
  Bytes bytes = block_bytes(18, 0, turned ? -block.scale : block.scale);
  for (std::size_t e = 0; e < 32; ++e) {
    add_field(bytes[2 + e % 16], 8 + (turned ? -block.codes[e] : block.codes[e]), 4 * (e / 16));
  }
  return bytes;
}

struct BlockForm {
  std::size_t elems;
  Bytes (*bytes)(const BlockOfCodes&);
};

inline const std::map<std::string, BlockForm>& f16_blocks() {
  static const std::map<std::string, BlockForm> forms{{"tq1_0", {256, tq1_0_block}},
                                                      {"tq2_0", {256, tq2_0_block}},
                                                      {"q2_0", {64, q2_0_block}},
                                                      {"q4_0", {32, q4_0_block}},
                                                      {"q8_0", {32, q8_0_block}}};
  return forms;
}

inline Bytes pack_f16_blocks(const BlockForm& form, const CodeTable& table) {
  Bytes bytes;
  for (std::size_t begin = 0; begin < table.codes.size(); begin += form.elems) {
    BlockOfCodes block{{}, table.scales.at(begin)};
    for (std::size_t e = 0; e < form.elems; ++e) block.codes.push_back(table.codes.at(begin + e));
    const Bytes made = form.bytes(block);
    bytes.insert(bytes.end(), made.begin(), made.end());
  }
  return bytes;
}

/// A row: its scale, then code c of each 64 in byte c mod 16 at bits 2 * (c div 16).
inline Bytes pack_iq2_bn(const CodeTable& table) {
  Bytes bytes;
  for (std::size_t r = 0; r < table.rows; ++r) {
    append(bytes, f32_bits(table.scales.at(r * table.depth)), 4);
    Bytes row(table.depth / 4, 0);
    for (std::size_t c = 0; c < table.depth; ++c) {
      add_field(row[c / 64 * 16 + c % 16], table.at(r, c) + 1, 2 * (c % 64 / 16));
    }
    bytes.insert(bytes.end(), row.begin(), row.end());
  }
  return bytes;
}

/// The byte and bits of code [r, c] in the three orders of I2_S.
inline void place_i2_s(const std::string& layout, const CodeTable& table, std::size_t i, Bytes& bytes) {
  const std::size_t r = i / table.depth;
  const std::size_t c = i % table.depth;
  const int field = table.codes[i] + 1;
  if (layout == "i2_s") add_field(bytes[i / 128 * 32 + i % 32], field, 6 - 2 * (i % 128 / 32));
  if (layout == "i2_s_arm") add_field(bytes[i / 64 * 16 + i % 16], field, 6 - 2 * (i % 64 / 16));
  if (layout == "i2_s_1x4") add_field(bytes[r / 4 * table.depth + c], field, 6 - 2 * (r % 4));
}

/// Behind the codes 32 bytes: the scale, then zeros.
inline Bytes pack_i2_s(const std::string& layout, const CodeTable& table) {
  Bytes bytes(table.codes.size() / 4, 0);
  for (std::size_t i = 0; i < table.codes.size(); ++i) place_i2_s(layout, table, i, bytes);
  append(bytes, table.codes.empty() ? 0U : f32_bits(table.scales.at(0)), 4);
  bytes.resize(bytes.size() + 28, 0);
  return bytes;
}

inline bool is_block_layout(const std::string& layout) {
  return f16_blocks().count(layout) == 1 || layout == "iq2_bn" || layout.rfind("i2_s", 0) == 0;
}

inline Bytes pack_blocks(const std::string& layout, const CodeTable& table) {
  if (layout == "iq2_bn") return pack_iq2_bn(table);
  const auto form = f16_blocks().find(layout);
  return form == f16_blocks().end() ? pack_i2_s(layout, table) : pack_f16_blocks(form->second, table);
}

}  // namespace oracle
