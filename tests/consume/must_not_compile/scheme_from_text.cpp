// Text becomes a scheme only through Scheme::parse, which can refuse it.
// EXPECT: invalid initialization of reference|no known conversion|no matching function
#include <bnq/bnq.h>

bnq::QuantizedTensor unchecked(const bnq::TensorView& w) { return bnq::quantize(w, "ternary"); }
