#include "progress.h"

#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

namespace bnq::python {
namespace {

using Path = std::filesystem::path;

void bind_plan(nb::module_& m) {
  nb::class_<PlannedTensor>(m, "PlannedTensor")
      .def_ro("name", &PlannedTensor::name)
      .def_prop_ro("dtype", [](const PlannedTensor& t) { return name(t.dtype); })
      .def_prop_ro("shape", [](const PlannedTensor& t) { return shape_tuple(t.shape); })
      .def_ro("scheme", &PlannedTensor::scheme)
      .def_ro("layout", &PlannedTensor::layout)
      .def_ro("reason", &PlannedTensor::reason)
      .def_ro("bytes_in", &PlannedTensor::bytes_in)
      .def_ro("bytes_out", &PlannedTensor::bytes_out);
  nb::class_<PlannedFile>(m, "PlannedFile")
      .def_ro("name", &PlannedFile::name)
      .def_ro("what", &PlannedFile::what)
      .def_ro("nbytes", &PlannedFile::nbytes);
  nb::class_<RuleHits>(m, "RuleHits").def_ro("rule", &RuleHits::rule).def_ro("hits", &RuleHits::hits);
  nb::class_<Plan>(m, "Plan")
      .def_ro("tensors", &Plan::tensors)
      .def_ro("files", &Plan::files)
      .def_ro("target", &Plan::target)
      .def_ro("target_layout", &Plan::target_layout)
      .def_ro("notes", &Plan::notes)
      .def_ro("client", &Plan::client)
      .def_ro("rules", &Plan::rules)
      .def_ro("warnings", &Plan::warnings)
      .def_ro("file_bytes_in", &Plan::file_bytes_in)
      .def_ro("file_bytes_out", &Plan::file_bytes_out);
}

void bind_client_form(nb::module_& m) {
  nb::class_<ClientForm>(m, "ClientForm")
      .def_ro("name", &ClientForm::name)
      .def_ro("why_bnq_only", &ClientForm::why_bnq_only)
      .def_ro("quantization_config", &ClientForm::quantization_config)
      .def_ro("inverse_scales", &ClientForm::inverse_scales);
  nb::class_<ModelTensor>(m, "ModelTensor")
      .def(
          "__init__",
          [](ModelTensor* self, std::string name, Shape shape, std::optional<Scheme> scheme, const std::string& dtype) {
            new (self) ModelTensor{std::move(name), std::move(shape), std::move(scheme), dtype_called(dtype.c_str())};
          },
          nb::arg("name"), nb::arg("shape"), nb::arg("scheme").none(), nb::arg("dtype"));
  m.def("client_form", &client_form, nb::arg("config"), nb::arg("tensors"), nb::arg("modules").none());
}

void bind_dequantize(nb::module_& m) {
  nb::class_<DequantizeOptions>(m, "DequantizeOptions")
      .def(
          "__init__",
          [](DequantizeOptions* self, const std::optional<std::string>& dtype, bool replace,
             const std::string& scales) {
            const std::optional<DType> to = dtype ? std::optional(dtype_called(dtype->c_str())) : std::nullopt;
            new (self) DequantizeOptions{.dtype = to, .replace = replace, .convention = parse_scale_convention(scales)};
          },
          nb::arg("dtype").none(), nb::arg("replace"), nb::arg("scales"))
      .def_rw("gguf_types", &DequantizeOptions::gguf_types);
  nb::class_<DequantizeResult>(m, "DequantizeResult")
      .def_ro("tensors", &DequantizeResult::tensors)
      .def_ro("saturated_values", &DequantizeResult::saturated_values)
      .def_ro("file_bytes_in", &DequantizeResult::file_bytes_in)
      .def_ro("file_bytes_out", &DequantizeResult::file_bytes_out);
}

void bind_convert(nb::module_& m) {
  nb::class_<ConvertOptions>(m, "ConvertOptions")
      .def(
          "__init__",
          [](ConvertOptions* self, const std::optional<Layout>& to, const std::optional<Target>& target,
             const std::string& scales) {
            new (self) ConvertOptions{.to = to, .target = target, .convention = parse_scale_convention(scales)};
          },
          nb::arg("to").none(), nb::arg("target").none(), nb::arg("scales"))
      .def_rw("strict", &ConvertOptions::strict)
      .def_rw("gguf_types", &ConvertOptions::gguf_types)
      .def_rw("keep_names", &ConvertOptions::keep_names)
      .def_rw("pre_tokenizer", &ConvertOptions::pre_tokenizer)
      .def_rw("replace", &ConvertOptions::replace);
  nb::class_<ConvertResult>(m, "ConvertResult")
      .def_ro("tensors", &ConvertResult::tensors)
      .def_ro("ternary_floats", &ConvertResult::ternary_floats)
      .def_ro("copied", &ConvertResult::copied)
      .def_ro("scale_error", &ConvertResult::scale_error)
      .def_ro("worst_name", &ConvertResult::worst_name)
      .def_ro("layout", &ConvertResult::layout)
      .def_ro("notes", &ConvertResult::notes)
      .def_ro("warnings", &ConvertResult::warnings)
      .def_ro("file_bytes_in", &ConvertResult::file_bytes_in)
      .def_ro("file_bytes_out", &ConvertResult::file_bytes_out);
}

void bind_options(nb::module_& m) {
  nb::class_<ModelModules>(m, "ModelModules")
      .def(nb::init<>())
      .def_rw("base", &ModelModules::base)
      .def_rw("linear", &ModelModules::linear)
      .def_rw("heads", &ModelModules::heads)
      .def_rw("embeddings", &ModelModules::embeddings)
      .def_rw("refusal", &ModelModules::refusal)
      .def_rw("bitnet_refusal", &ModelModules::bitnet_refusal)
      .def_rw("packed_refusal", &ModelModules::packed_refusal);
  nb::class_<QuantizeOptions>(m, "QuantizeOptions")
      .def(nb::init<>())
      .def_rw("scheme", &QuantizeOptions::scheme)
      .def_rw("embeddings", &QuantizeOptions::embeddings)
      .def_rw("head", &QuantizeOptions::head)
      .def_rw("target", &QuantizeOptions::target)
      .def_rw("shard_bytes", &QuantizeOptions::shard_bytes)
      .def_rw("resume", &QuantizeOptions::resume)
      .def_prop_rw(
          "plan", [](const QuantizeOptions& o) { return o.plan.string(); },
          [](QuantizeOptions& o, const std::string& path) { o.plan = path; })
      .def_prop_rw(
          "plan_out", [](const QuantizeOptions& o) { return o.plan_out.string(); },
          [](QuantizeOptions& o, const std::string& path) { o.plan_out = path; })
      .def_rw("strict", &QuantizeOptions::strict)
      .def_rw("modules", &QuantizeOptions::modules, nb::arg().none())
      .def_rw("replace", &QuantizeOptions::replace)
      .def(
          "add_rule",
          [](QuantizeOptions& options, std::string pattern, std::string scheme) {
            options.rules.push_back({std::move(pattern), std::move(scheme)});
          },
          nb::arg("pattern"), nb::arg("scheme"));
}

Plan quantize_file(const Path& in, const Path& out, QuantizeOptions options, nb::object callback) {
  return PythonProgress(std::move(callback)).run([&](const Progress& progress) {
    options.progress = progress;
    return quantize_checkpoint(in, out, options);
  });
}

DequantizeResult dequantize_file(const Path& in, const Path& out, DequantizeOptions options, nb::object callback) {
  return PythonProgress(std::move(callback)).run([&](const Progress& progress) {
    options.progress = progress;
    return dequantize_checkpoint(in, out, options);
  });
}

ConvertResult convert_file(const Path& in, const Path& out, ConvertOptions options, nb::object callback) {
  return PythonProgress(std::move(callback)).run([&](const Progress& progress) {
    options.progress = progress;
    return convert_checkpoint(in, out, options);
  });
}

}  // namespace

void bind_checkpoint(nb::module_& m) {
  bind_plan(m);
  bind_options(m);
  bind_client_form(m);
  bind_dequantize(m);
  bind_convert(m);
  m.def("unlisted_architecture", &unlisted_architecture, ReleaseGil(), nb::arg("folder"));
  m.def("plan_checkpoint", &plan_checkpoint, ReleaseGil(), nb::arg("path"), nb::arg("options"));
  m.def("quantize_checkpoint", &quantize_file, nb::arg("source"), nb::arg("target"), nb::arg("options"),
        nb::arg("progress").none());
  m.def("convert_checkpoint", &convert_file, nb::arg("source"), nb::arg("target"), nb::arg("options"),
        nb::arg("progress").none());
  m.def("dequantize_checkpoint", &dequantize_file, nb::arg("source"), nb::arg("target"), nb::arg("options"),
        nb::arg("progress").none());
}

}  // namespace bnq::python
