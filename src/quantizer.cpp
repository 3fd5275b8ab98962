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

BitNetQuantizer::BitNetQuantizer(double precision, std::optional<Granularity> granularity, std::optional<Target> target)
    : BitNetQuantizer(scheme_of(precision, granularity), target) {}

BitNetQuantizer::BitNetQuantizer(Scheme scheme, std::optional<Target> target) : scheme_(scheme), target_(target) {
  if (target_) target_->require("BitNetQuantizer", scheme_);
}

QuantizedTensor BitNetQuantizer::quantize_weights(const TensorView& weight) const {
  if (target_) target_->require("quantize_weights", scheme_, weight.shape());
  return quantize(weight, scheme_);
}

PackedTensor BitNetQuantizer::pack(const QuantizedTensor& q) const {
  if (!target_) return bnq::pack(q);
  target_->require("pack", q.scheme(), q.shape());
  return bnq::pack(q, *target_->layout(q.scheme(), q.shape()));
}

std::string BitNetQuantizer::to_string() const {
  const std::string target = target_ ? ", target=" + std::string(target_->name()) : "";
  return "BitNetQuantizer(weights=" + scheme_.to_string() + ", activations=" + Scheme::activations().to_string() +
         target + ")";
}

}  // namespace bnq
