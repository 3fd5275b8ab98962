#include "checkpoint/contents.h"

#include "checkpoint/foreign/foreign.h"
#include "core/fail.h"
#include "io/metadata.h"
#include "io/system_call.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace bnq::detail {
namespace {

using safetensors::Entry;
using safetensors::Reader;

/// Takes over forms, whose parts nothing else may claim.
void add_forms(Contents& contents, std::unordered_set<std::string>& taken, const Source& source,
               std::vector<FileForm> forms) {
  for (FileForm& form : forms) {
    for (const Entry& part : form.parts()) {
      if (taken.insert(part.name).second) continue;
      fail(ErrorKind::bad_content, {.where = in_file(source.path(), part.name), .what = "belongs to two tensors"});
    }
    contents.quantized.push_back(std::move(form));
  }
}

/// What the bnq entry of one shard states.
void add_shard(Contents& contents, std::unordered_set<std::string>& taken, const Source& source, const Reader& shard) {
  Stated stated = read_metadata(shard);
  if (!stated.version.empty()) contents.maker = "bnq " + stated.version;
  for (const FileForm& form : stated.forms) require_parts(source, form);
  add_forms(contents, taken, source, std::move(stated.forms));
}

Contents contents_with(const Source& source, const ModelConfig& config, ScaleConvention convention) {
  Contents contents;
  contents.model = config;
  std::unordered_set<std::string> taken;
  for (const Reader& shard : source.shards()) add_shard(contents, taken, source, shard);
  const bool is_gguf = source.gguf() != nullptr;
  if (is_gguf || (contents.maker.empty() && !config.quant_method.empty())) {
    Foreign foreign = is_gguf ? read_gguf(source) : read_foreign(source, config, convention);
    contents.maker = foreign.maker;
    contents.unread = foreign.unread;
    contents.is_foreign = true;
    add_forms(contents, taken, source, std::move(foreign.forms));
  }
  std::ranges::sort(contents.quantized, {}, &FileForm::name);
  for (const Entry& entry : source.tensors()) {
    if (taken.contains(entry.name)) continue;
    if (contents.find_quantized(entry.name) != nullptr) {
      fail(ErrorKind::bad_content, {.where = in_file(source.file_of(entry.name), entry.name),
                                    .what = "is there twice: quantized, and as it is"});
    }
    contents.plain.emplace(entry.name, entry);
  }
  return contents;
}

}  // namespace

const FileForm* Contents::find_quantized(const std::string& name) const {
  const auto at = std::ranges::lower_bound(quantized, name, {}, &FileForm::name);
  return at == quantized.end() || at->name != name ? nullptr : &*at;
}

ModelConfig config_of(const Source& source) {
  if (!source.folder() || source.folder()->config.empty()) return {};
  const std::string where = text_of(source.path() / config_name);
  ModelConfig config = parse_model_config(where, source.folder()->config);
  const auto& shards = source.folder()->shards;
  if (config.weights.empty() || std::ranges::find(shards, config.weights) != shards.end()) return config;
  if (config.weights == index_name) return config;
  fail(ErrorKind::bad_content, {.where = where,
                                .what = "names other weights than bnq reads ('transformers_weights')",
                                .got = "'" + printable(config.weights) + "'",
                                .need = shards.front(),
                                .cure = "give that file the usual name, and take the setting away"});
}

Contents contents_of(const Source& source, ScaleConvention convention) {
  return contents_with(source, config_of(source), convention);
}

void require_readable(const Source& source, const Contents& contents) {
  if (contents.unread.empty()) return;
  fail(ErrorKind::bad_content, {.where = text_of(source.path()),
                                .what = "another program quantized it, in a form that bnq does not read",
                                .got = contents.unread});
}

void require_not_packed(const Source& source, const ModelConfig& config) {
  constexpr const char* cure = "quantize the original; `bnq dequantize` brings back floats, not what was lost";
  if (!config.quant_method.empty()) {
    fail(ErrorKind::bad_content, {.where = text_of(source.path() / config_name),
                                  .what = "says that the model is quantized already",
                                  .got = "quant_method '" + printable(config.quant_method) + "'",
                                  .cure = cure});
  }
  const Contents contents = contents_with(source, config, ScaleConvention::as_stated);
  if (const std::size_t count = contents.quantized.size(); count > 0) {
    fail(ErrorKind::bad_content,
         {.where = text_of(source.path()),
          .what = "is quantized already, by " + printable(contents.maker),
          .got = count == 1 ? "1 quantized tensor" : std::to_string(count) + " quantized tensors",
          .cure = cure});
  }
  const auto& entries = source.tensors();
  const auto at = std::ranges::find_if(entries, [&](const Entry& entry) { return looks_packed(source, entry); });
  if (at == entries.end()) return;
  fail(ErrorKind::bad_content, {.where = in_file(source.file_of(at->name), at->name),
                                .what = "is packed already, by another program",
                                .got = std::string(name(at->dtype)) + " " + to_string(at->shape) + " beside its scales",
                                .cure = "quantize the original"});
}

void require_other_file(const std::filesystem::path& in, const std::filesystem::path& out) {
  std::error_code ignored;  // what is not there is nothing's twin
  if (std::filesystem::equivalent(in, out, ignored) || in == out) {
    fail(ErrorKind::invalid_argument,
         {.where = text_of(out),
          .what = std::filesystem::is_directory(in, ignored) ? "input and output are one folder"
                                                             : "input and output are one file",
          .cure = "name another output; nothing is changed in place"});
  }
  if (!std::filesystem::is_directory(in, ignored)) return;
  const auto input = std::filesystem::canonical(in, ignored);
  const auto output = std::filesystem::weakly_canonical(out, ignored);
  if (is_inside(output, input)) {
    fail(ErrorKind::invalid_argument, {.where = text_of(out),
                                       .what = "the output lies in the input folder, and would become a part of it",
                                       .cure = "name another output"});
  }
  if (output.empty() || !is_inside(input, output)) return;  // a pipe has no such path
  fail(ErrorKind::invalid_argument,
       {.where = text_of(out), .what = "the output is a folder that holds the input", .cure = "name another output"});
}

void require_beside(const std::filesystem::path& file, const std::filesystem::path& model, const char* what) {
  std::error_code ignored;  // what is not there yet is compared by its name
  const auto place = std::filesystem::weakly_canonical(file, ignored);
  const auto taken = std::filesystem::weakly_canonical(model, ignored);
  if (!std::filesystem::equivalent(file, model, ignored) && !is_inside(place, taken)) return;
  fail(ErrorKind::invalid_argument, {.where = text_of(file),
                                     .what = std::string(what) + " would replace the model, or become a part of it",
                                     .got = "a file of '" + text_of(model) + "'",
                                     .cure = "name another file"});
}

}  // namespace bnq::detail
