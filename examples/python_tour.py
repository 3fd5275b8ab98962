"""Ten lines of bnq. Needs numpy only."""

import numpy as np

import bnq

w = np.random.default_rng(0).standard_normal((256, 512), np.float32)  # torch tensors and layers work the same
q = bnq.quantize(w, "4:group(64)")  # or 8, 1.58, "ternary", "ternary:row", …
print(q.codes[0, :4], q.scales[0, 0])  # int8 codes and the float32 scales that multiply them
print(bnq.report(w, q))  # how good is it?
p = bnq.pack(q)  # true 4-bit bytes
print(p)
y = bnq.Linear(p)(np.ones((1, 512), np.float32))  # y = x Wᵀ with int8 activations
print(y.shape, np.array_equal(bnq.unpack(p).dequantize(), q.dequantize()))
