"""The example of docs/bitnet_quantizer.rst with its missing import, and a look at what came out. Needs torch."""

import torch
import torch.nn as nn

from layers.bitnet_quantizer import BitNetQuantizer

# Initialize a sample neural network layer
layer = nn.Linear(512, 256)

# Initialize the BitNetQuantizer
quantizer = BitNetQuantizer(precision=8)
print(quantizer)  # spells out what it does

# Quantize the weights of the layer
quantized_weights = quantizer.quantize_weights(layer.weight)
print(quantized_weights)

# Quantize the activations of the layer
quantized_activations = quantizer.quantize_activations(layer(torch.randn(1, 512)))

# Dequantize if needed
original_weights = quantizer.dequantize(quantized_weights)
print(f"largest error: {(original_weights - layer.weight).abs().max():.2g}")

print("Quantization complete.")
