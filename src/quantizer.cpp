#include <bnq/quantizer.h>

#include <cstdio>

namespace bnq {
namespace {

/// "8" for 8.0, "1.58" for 1.58: the text that Scheme::parse reads, or refuses with the list of what is allowed.
std::string precision_text(double precision) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", precision);
  return text;
}

Scheme scheme_of(double precision, const std::optional<Granularity>& granularity) {
  const Scheme scheme = Scheme::parse(precision_text(precision));
  return granularity ? scheme.with(*granularity) : scheme;
}

}  // namespace

BitNetQuantizer::BitNetQuantizer(double precision, std::optional<Granularity> granularity)
    : scheme_(scheme_of(precision, granularity)) {}

std::string BitNetQuantizer::to_string() const {
  return "BitNetQuantizer(weights=" + scheme_.to_string() + ", activations=" + Scheme::activations().to_string() + ")";
}

}  // namespace bnq
