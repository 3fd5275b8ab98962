#pragma once

// Everything a user of bnq needs. Read the headers in this order: it is the road a tensor takes.
#include <bnq/checkpoint.h>
#include <bnq/cpu.h>
#include <bnq/dtype.h>
#include <bnq/error.h>
#include <bnq/layout.h>
#include <bnq/linear.h>
#include <bnq/quantize.h>
#include <bnq/quantized_tensor.h>
#include <bnq/quantizer.h>
#include <bnq/report.h>
#include <bnq/roofs.h>
#include <bnq/safetensors.h>
#include <bnq/scheme.h>
#include <bnq/target.h>
#include <bnq/tensor.h>
#include <bnq/tensor_file.h>
#include <bnq/threads.h>
#include <bnq/version.h>
