// A view of a tensor that dies at the end of the line. EXPECT: use of deleted function
#include <bnq/bnq.h>

bnq::TensorView dangling() { return bnq::Tensor(bnq::DType::f32, {2, 2}).view(); }
