// A safetensors file, low-bit: plan, quantize, verify. Usage: quantize_file FOLDER (a small model is written there).
#include <bnq/bnq.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <string>

namespace {

/// What a model file looks like: a linear weight, its bias, a norm.
void write_model(const std::filesystem::path& path) {
  bnq::Tensor weight(bnq::DType::f32, {64, 128});
  int i = 0;
  for (float& w : weight.data<float>()) w = static_cast<float>(i++ % 31 - 15) / 100.0F;
  bnq::Tensor bias(bnq::DType::f32, {64});
  bnq::Tensor norm(bnq::DType::f32, {128});
  bnq::save(path, {{"layer.weight", weight}, {"layer.bias", bias}, {"norm.weight", norm}}, true);
}

void quantize_and_verify(const std::filesystem::path& in, const std::filesystem::path& out) {
  // [plan]
  bnq::QuantizeOptions options;
  options.scheme = "8";
  options.rules = {{"layer.*weight", "4"}};  // the last rule that matches wins
  options.replace = true;
  bnq::Plan plan = bnq::plan_checkpoint(in, options);  // reads the header, writes nothing
  for (const bnq::PlannedTensor& t : plan.tensors) {
    std::printf("%-14s %-22s %s\n", t.name.c_str(), t.scheme ? t.scheme->to_string().c_str() : "kept",
                t.reason.c_str());
  }
  // [/plan]
  // [verify]
  bnq::quantize_checkpoint(in, out, options);
  bnq::Verification verified = bnq::verify_checkpoint(in, out, {.min_sqnr_db = 15.0});
  std::printf("%s\n", verified.verdict.c_str());
  if (!verified.gates_met) std::printf("a gate was missed: %s\n", verified.worst_name.c_str());
  // [/verify]
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::filesystem::path folder = argc > 1 ? argv[1] : ".";
    write_model(folder / "model.safetensors");
    quantize_and_verify(folder / "model.safetensors", folder / "model-low-bit.safetensors");
    return 0;
  } catch (const bnq::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
