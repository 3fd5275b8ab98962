#pragma once

#include <bnq/dtype.h>
#include <bnq/export.h>
#include <bnq/layout.h>
#include <bnq/report.h>
#include <bnq/scheme.h>
#include <bnq/target.h>
#include <bnq/tensor.h>
#include <bnq/tensor_file.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace bnq {

/// Called between tensors with the bytes of input done so far; return false to stop (then `interrupted` is thrown and
/// no file is left).
using Progress = std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)>;

/// Tensors whose whole name matches `pattern` (shell wildcards * ? [abc] [a-z] [!a], no braces) get `scheme`, a
/// scheme's text or "keep".
struct Rule {
  std::string pattern = {};
  std::string scheme = {};
};

/// What the modules of a model are, told by its own code, of an architecture that is not on bnq's list. Whole names,
/// as the files have them.
struct ModelModules {
  std::string base = {};  ///< what stands before names of the base model's modules: "gpt_neox."
  std::vector<std::string> linear = {};
  std::vector<std::string> heads = {};  ///< linear layers that are kept unless asked for
  std::vector<std::string> embeddings = {};
  std::string refusal = {};         ///< why nobody can tell, and no client will load the folder; then the rest is empty
  std::string bitnet_refusal = {};  ///< why transformers' BitNet layers cannot stand in it; empty when they can
  std::string packed_refusal = {};  ///< why compressed-tensors' layers of less than 8 bits cannot; empty when they can
};

struct QuantizeOptions {
  std::string scheme = "8";             ///< for linear weights that no rule names
  std::vector<Rule> rules = {};         ///< the last that matches wins
  std::string embeddings = {};          ///< scheme for 2-d *.weight tensors of embedding tables; empty: keep
  std::string head = {};                ///< scheme for lm_head; empty: keep
  std::string target = {};              ///< the program that is to run the result: it is held against it; empty: none
  std::filesystem::path plan = {};      ///< a saved plan, which decides for every tensor; then no other choice is given
  std::filesystem::path plan_out = {};  ///< write the plan here, as JSON, before any work
  bool strict = false;   ///< errors, not warnings: a rule without a hit, a folder that no client loads, a layer
                         ///< that its client's form cannot hold
  bool replace = false;  ///< overwrite an existing output
  bool resume = false;   ///< of a folder: go on with the shards that a run which was cut off had finished, and
                         ///< leave them when this one ends early
  std::uint64_t shard_bytes = 5'000'000'000;  ///< of a folder: a shard holds one tensor, or up to so many bytes
  std::optional<ModelModules> modules = {};   ///< of a folder whose architecture is not on the list
  Progress progress = {};
};

/// The architecture that a folder's config.json names, where it is not on the list; else empty. Throws `bad_content`
/// for a broken folder.
[[nodiscard]] BNQ_EXPORT std::string unlisted_architecture(const std::filesystem::path& folder);

/// A tensor of a model, as far as the form of its folder depends on it.
struct ModelTensor {
  std::string name = {};
  Shape shape = {};
  std::optional<Scheme> scheme = {};  ///< empty: stays as it is
  DType dtype = DType::f32;           ///< of the float original
};

/// How a folder tells its client, plain transformers, what it holds (docs/formats/folder.rst).
struct ClientForm {
  std::string name = {};          ///< "compressed-tensors int-quantized"; empty: bnq only, or nothing is quantized
  std::string why_bnq_only = {};  ///< empty when a client loads the folder
  std::string quantization_config = {};  ///< JSON, for config.json
  bool inverse_scales = false;           ///< the file has to hold 1 / scale
};

/// The form of a folder with this config.json (its text) for a model with these tensors. For writers of their own:
/// `quantize_checkpoint` does all that by itself. Throws `bad_content` when the text is no config.
[[nodiscard]] BNQ_EXPORT ClientForm client_form(const std::string& config, const std::vector<ModelTensor>& tensors,
                                                const std::optional<ModelModules>& modules);

/// What will be done with one tensor, and why.
struct PlannedTensor {
  std::string name = {};
  DType dtype = DType::u8;
  Shape shape = {};
  std::optional<Scheme> scheme = {};  ///< empty: copied as it is
  std::optional<Layout> layout = {};  ///< of the quantized form
  std::string reason = {};            ///< "linear weight", "rule 'x=4'", "kept: norm", …
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
};

struct RuleHits {
  std::string rule = {};
  std::int64_t hits = 0;
};

/// A file of an output folder, by its path below the folder.
struct PlannedFile {
  std::string name = {};
  std::string what = {};  ///< "shard", "index", "config" or "copy"
  std::uint64_t nbytes = 0;
};

struct Plan {
  std::vector<PlannedTensor> tensors = {};   ///< in the order of the input's bytes
  std::vector<PlannedFile> files = {};       ///< of an output folder; empty for a file
  std::string target = {};                   ///< the program that it was held against; empty: none
  std::optional<Layout> target_layout = {};  ///< of a target that reads GGUF: the layout that `convert` will choose
  std::vector<std::string> notes = {};       ///< what the target does otherwise than bnq
  std::string client = {};                   ///< of a folder: the form that plain transformers loads; empty: bnq only
  std::vector<RuleHits> rules = {};
  std::vector<std::string> warnings = {};
  std::uint64_t file_bytes_in = 0;
  std::uint64_t file_bytes_out = 0;  ///< exact
};

/// What quantizing would do, from the header alone; reads no tensor and writes nothing but `plan_out`.
/// Throws as `quantize_checkpoint` does before it starts.
[[nodiscard]] BNQ_EXPORT Plan plan_checkpoint(const std::filesystem::path& in, const QuantizeOptions& options);

/// Quantizes a safetensors file into another, or a Hugging Face model folder into another, tensor by tensor. The plan
/// that was carried out is returned.
///
/// A folder is one with model.safetensors, or with model.safetensors.index.json and its shards. Where its architecture
/// is on the tested list (docs/formats/folder.rst), or `modules` says what it is made of, plain transformers loads what
/// is written; otherwise bnq only, and the plan's warnings say why. It appears under its name only when whole. To
/// replace one it must be bnq's.
///
/// A rule may quantize any float tensor. Integers and f64 are copied; a rule that hits nothing else is an error.
/// Throws `invalid_argument` (unknown scheme or target; in and out are the same file, also through links; a rule that
/// hits only integer or f64 tensors; strict), `unsupported` (before any work, what the target cannot load or compute),
/// `bad_content` (broken file, NaN or infinity, already packed), `exists`, `io`, `interrupted`.
BNQ_EXPORT Plan quantize_checkpoint(const std::filesystem::path& in, const std::filesystem::path& out,
                                    const QuantizeOptions& options);

struct DequantizeOptions {
  std::optional<DType> dtype = {};  ///< f32, f16 or bf16; empty: each tensor's original one
  bool replace = false;             ///< overwrite an existing output
  ScaleConvention convention = ScaleConvention::as_stated;
  std::vector<std::string> gguf_types = {};  ///< as for `load`
  Progress progress = {};
};

struct DequantizeResult {
  std::int64_t tensors = 0;           ///< that were dequantized; the others were copied
  std::int64_t saturated_values = 0;  ///< held at the largest finite number of the output dtype
  std::uint64_t file_bytes_in = 0;
  std::uint64_t file_bytes_out = 0;
};

/// Turns every quantized tensor of a file or folder that bnq wrote, or of a folder of another program that bnq reads
/// (as `load` does), back into floats, and copies the rest. Throws as above; `bad_content` also when nothing in the
/// file is quantized.
BNQ_EXPORT DequantizeResult dequantize_checkpoint(const std::filesystem::path& in, const std::filesystem::path& out,
                                                  const DequantizeOptions& options = {});

struct ConvertOptions {
  std::optional<Layout> to = {};      ///< of every low-bit tensor of the output; or else
  std::optional<Target> target = {};  ///< the program that is to read it, whose best layout that holds all is taken
  bool strict = false;                ///< a scale that the layout would round is an error
  bool replace = false;               ///< overwrite an existing output
  ScaleConvention convention = ScaleConvention::as_stated;
  std::vector<std::string> gguf_types = {};  ///< as for `load`
  bool keep_names = false;                   ///< of a GGUF file: tensors keep their names, and rows their order
  std::string pre_tokenizer = {};  ///< for a GGUF file: `tokenizer.ggml.pre`; empty: by the tokenizer's own pattern
  Progress progress = {};
};

struct ConvertResult {
  std::int64_t tensors = 0;         ///< in the new layout
  std::int64_t ternary_floats = 0;  ///< those of them that were floats, of the values -a, 0, +a
  std::int64_t copied = 0;          ///< plain tensors
  double scale_error =
      0;  ///< largest |stored - scale| / scale, as `PackedTensor::scale_error`; 0: every scale is exact
  std::string worst_name = {};          ///< whose it is
  std::optional<Layout> layout = {};    ///< the new layout
  std::vector<std::string> notes = {};  ///< what the target does otherwise than bnq
  std::vector<std::string> warnings = {};
  std::uint64_t file_bytes_in = 0;
  std::uint64_t file_bytes_out = 0;
};

/// Puts every low-bit tensor of a checkpoint (what `load` reads: a file or folder of bnq, a folder of another program)
/// into another layout, in one file, tensor by tensor; codes stay as they are, and the rest is copied. Where `out` ends
/// in ".gguf" the file is GGUF (docs/formats/gguf.rst), of a model folder or another GGUF file; else safetensors, which
/// of a GGUF file has the names and rows of Hugging Face. It quantizes nothing: of float tensors only those matrices
/// become codes that hold -a, 0, +a alone, and so lose nothing.
///
/// Throws `invalid_argument` unless one of `to` and `target` is given; `unsupported` before any work for a layout that
/// such a file has no place for, a target that reads no such file, what GGUF cannot express, or naming the first tensor
/// that the layout, or one layout of the target, cannot hold; with `strict` naming the first tensor whose scale it
/// would round. `bad_content` when nothing is low-bit; else as `dequantize_checkpoint` does.
BNQ_EXPORT ConvertResult convert_checkpoint(const std::filesystem::path& in, const std::filesystem::path& out,
                                            const ConvertOptions& options);

/// What one tensor of a file looks like.
struct InspectedTensor {
  std::string name = {};
  DType dtype = DType::u8;            ///< as stored; of a quantized tensor the dtype it came from
  Shape shape = {};                   ///< of a quantized tensor its logical shape
  std::uint64_t nbytes = 0;           ///< as stored, scales included
  std::optional<Scheme> scheme = {};  ///< of a quantized tensor
  std::optional<Layout> layout = {};
  std::optional<double> minimum = {}, maximum = {};  ///< finite values of a float tensor
  std::optional<double> zero_share = {};             ///< in [0, 1]
  std::int64_t nan_count = 0;
  std::int64_t inf_count = 0;
  bool all_zero = false;
  bool already_ternary = false;  ///< only {-a, 0, +a} with one a > 0
};

struct Inspection {
  std::vector<InspectedTensor> tensors = {};
  std::uint64_t file_bytes = 0;
  std::string written_by = {};  ///< "bnq 0.1.0", "compressed-tensors pack-quantized"; empty for floats
  std::string unread = {};  ///< why bnq does not read what `written_by` quantized: its parts stand in `tensors` as they
                            ///< lie, and are no values; else empty
};

/// Throws `io` or `bad_content`. NaN is reported, not refused.
[[nodiscard]] BNQ_EXPORT Inspection inspect_checkpoint(const std::filesystem::path& path, const Progress& progress = {},
                                                       ScaleConvention convention = ScaleConvention::as_stated,
                                                       const std::vector<std::string>& gguf_types = {});

struct Gates {
  std::optional<double> min_sqnr_db = {};  ///< +infinity asks for lossless
  std::optional<double> min_cosine = {};   ///< in [-1, 1]
};

struct VerifiedTensor {
  std::string name = {};
  std::optional<Scheme> scheme = {};  ///< empty: a plain copy
  std::optional<Report> report = {};  ///< of a quantized tensor; empty when the original has another dtype or shape
  bool reproduced = false;  ///< quantizing the original again gives the stored codes and scales; a copy is equal
  bool gate_missed = false;
  std::uint64_t bytes_before = 0;
  std::uint64_t bytes_after = 0;
};

struct Verification {
  std::vector<VerifiedTensor> tensors = {};
  std::vector<std::string> missing = {};  ///< in the original, not in the quantized file
  std::vector<std::string> extra = {};    ///< the other way round
  std::uint64_t file_bytes_before = 0;
  std::uint64_t file_bytes_after = 0;
  std::optional<double> worst_sqnr_db = {}, median_sqnr_db = {};  ///< over quantized tensors; +infinity when lossless
  std::string worst_name = {};
  bool lossless = false;        ///< every tensor
  bool reproduced = false;      ///< every tensor, none missing or extra
  bool gates_met = true;        ///< false also when something was not reproduced, or a gate finds nothing quantized
  std::string written_by = {};  ///< as in Inspection
  bool is_foreign = false;      ///< another program quantized it: codes are compared and need not be reproduced
  ScaleConvention convention = ScaleConvention::as_stated;  ///< with which it was read
  std::string verdict = {};                                 ///< plain words
};

/// Recomputes every tensor of `quantized` from `original` and compares.
/// Names, dtypes and shapes that do not fit are a result, not an error. Throws `invalid_argument` for a gate that is no
/// number, `io`, or `bad_content` when a file is broken, a tensor to quantize holds NaN, or `original` itself holds
/// tensors that bnq quantized; `unsupported` for a GGUF file beside a model that is none, whose names are others.
[[nodiscard]] BNQ_EXPORT Verification verify_checkpoint(const std::filesystem::path& original,
                                                        const std::filesystem::path& quantized, const Gates& gates,
                                                        const Progress& progress = {},
                                                        ScaleConvention convention = ScaleConvention::as_stated);

/// Writes one self-contained HTML page, without scripts and without anything from a network: the verdict, the size
/// waterfall, the SQNR of each tensor, histograms of those that lost most (they are read again), and the table.
/// Throws `exists` unless `replace`, `io`, or `bad_content` as verify_checkpoint does.
BNQ_EXPORT void save_html_report(const std::filesystem::path& path, const std::filesystem::path& original,
                                 const std::filesystem::path& quantized, const Verification& verification,
                                 bool replace = false);

/// One JSON document each, with a `schema` field that names its form. Infinity is written as null.
[[nodiscard]] BNQ_EXPORT std::string to_json(const Plan& plan);
[[nodiscard]] BNQ_EXPORT std::string to_json(const ConvertResult& result);
[[nodiscard]] BNQ_EXPORT std::string to_json(const Inspection& inspection);
[[nodiscard]] BNQ_EXPORT std::string to_json(const Verification& verification);

}  // namespace bnq
