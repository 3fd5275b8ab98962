#include "checkpoint/convert/gguf/name_items.h"

#include "checkpoint/convert/gguf/gguf_output.h"
#include "core/fail.h"
#include "io/gguf/header.h"
#include "io/system_call.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bnq::detail {
namespace {

const ModelMap& map_of(const Source& source, const HfModel& model) {
  const ModelMap& map = *find_map(model.architecture);  // parse_hf_model knows no others
  const bool is_usual = model.activation.empty() || model.activation == map.activation;
  if (is_usual) return map;
  fail(ErrorKind::unsupported, {.where = text_of(source.path() / config_name),
                                .what = "programs compute another activation in this architecture",
                                .got = "hidden_act '" + printable(model.activation) + "'",
                                .need = "'" + std::string(map.activation) + "'"});
}

/// What the model makes itself, and old folders hold all the same.
bool is_buffer(std::string_view name) { return name.ends_with(".rotary_emb.inv_freq"); }

/// A head that the model ties to its embeddings is not read.
bool is_tied_head(std::string_view name, const HfModel& model) { return model.is_tied && name == "lm_head.weight"; }

bool is_left_out(std::string_view name, const HfModel& model) { return is_tied_head(name, model) || is_buffer(name); }

/// Of what no loader has a place for, nothing is lost.
void leave_out(Conversion& conversion, const HfModel& model) {
  std::erase_if(conversion.items, [&](const Item& item) {
    if (!is_left_out(item.name, model)) return false;
    if (is_tied_head(item.name, model)) {
      conversion.result.warnings.push_back("'lm_head.weight' is left out: config.json ties it to the embeddings");
    }
    --(item.scheme ? conversion.result.tensors : conversion.result.copied);
    return true;
  });
}

/// Every name that the file has to have, in its order: one after another, as nobody has checked how many layers the
/// config may state.
template <typename Take>
void for_each_name(const ModelMap& map, const HfModel& model, const Take& take) {
  take(std::string(embedding_name));
  take(std::string(output_norm_name));
  if (!model.is_tied) take(std::string(head_name));
  for (std::int64_t layer = 0; layer < model.layers; ++layer) {
    for (const TensorName& name : map.layer) take(layer_prefix(layer) + std::string(name.gguf));
  }
}

std::int64_t size_of(const HfModel& model, Extent extent) {
  switch (extent) {
    case Extent::vocabulary:
      return model.vocabulary;
    case Extent::width:
      return model.width;
    case Extent::inner_width:
      return model.inner_width;
    case Extent::head_width:
      return model.head_width;
    case Extent::queries:
      return model.heads * model.head_width;
    case Extent::keys:
      return model.key_heads * model.head_width;
    case Extent::none:
      break;
  }
  return 0;
}

/// A loader makes tensors by the config, and reads these into them.
void require_shape(const Source& source, const Item& item, const ModelMap& map, const HfModel& model) {
  Shape need;
  for (const Extent extent : find_tensor(map, item.out)->shape) {
    if (extent != Extent::none) need.push_back(size_of(model, extent));
  }
  if (need == item.shape) return;
  fail(ErrorKind::bad_content, {.where = in_file(source.path(), item.name),
                                .what = "has not the shape that config.json states",
                                .got = to_string(item.shape),
                                .need = to_string(need)});
}

void require_head(const Source& source, const ModelMap& map, const HfModel& model) {
  if (map.has_head || model.is_tied) return;
  fail(ErrorKind::unsupported,
       {.where = text_of(source.path() / config_name),
        .what = "the model has a head of its own, and architecture " + std::string(map.gguf) + " has no place for one",
        .got = "tie_word_embeddings false",
        .need = "true"});
}

std::map<std::string, Item> by_name(const Source& source, const std::vector<Item>& items, const ModelMap& map) {
  std::map<std::string, Item> named;
  for (const Item& item : items) {
    std::string name = gguf_name(map, item.name);
    if (name.empty()) {
      fail(ErrorKind::unsupported,
           {.where = in_file(source.path(), item.name),
            .what = "architecture " + std::string(map.gguf) + " has no place for this tensor in GGUF"});
    }
    named.emplace(std::move(name), item);
  }
  return named;
}

/// Sets how the rows of q and k are to be put.
void set_order(Item& item, const std::string& where, std::array<std::int64_t, 2> heads, RowOrder order) {
  const Rotated kind = rotated(order == RowOrder::halves_to_pairs ? item.out : item.name);
  if (kind == Rotated::no || item.shape.empty()) return;
  item.heads = heads[kind == Rotated::query ? 0 : 1];
  item.order = order;
  require_heads(where, item.shape.front(), item.heads);
}

/// Items under GGUF's names, in the order of the model's layers.
std::vector<Item> ordered(const Source& source, const std::vector<Item>& items, const ModelMap& map,
                          const HfModel& model) {
  std::map<std::string, Item> named = by_name(source, items, map);
  std::vector<Item> in_order;
  for_each_name(map, model, [&](std::string name) {
    auto item = named.extract(name);
    if (item.empty()) {
      fail(ErrorKind::bad_content, {.where = text_of(source.path()),
                                    .what = "a tensor of the model is missing",
                                    .need = "'" + hf_name(map, name) + "'"});
    }
    item.mapped().out = std::move(name);
    require_shape(source, item.mapped(), map, model);
    if (map.is_interleaved) {
      set_order(item.mapped(), in_file(source.path(), item.mapped().name), {model.heads, model.key_heads},
                RowOrder::halves_to_pairs);
    }
    in_order.push_back(std::move(item.mapped()));
  });
  if (!named.empty()) {
    fail(ErrorKind::bad_content, {.where = in_file(source.path(), named.begin()->second.name),
                                  .what = "is in none of the layers that config.json states",
                                  .got = std::to_string(model.layers) + " layers"});
  }
  return in_order;
}

void warn_of_activation(Conversion& conversion, std::string_view architecture) {
  std::vector<std::string>& warnings = conversion.result.warnings;
  if (architecture == "bitnet") {
    warnings.emplace_back(
        "llama.cpp computes SiLU in architecture bitnet, and this model needs squared ReLU: a program without a change "
        "for that answers nonsense");
  }
  if (architecture == "bitnet-b1.58") {
    warnings.emplace_back(
        "bitnet.cpp since July 2026 computes SiLU in architecture bitnet-b1.58, and this model needs squared ReLU, "
        "which earlier ones and ik_llama.cpp compute");
  }
}

void warn_of_programs(Conversion& conversion, const ModelMap& map, const HfModel& model) {
  std::vector<std::string>& warnings = conversion.result.warnings;
  warn_of_activation(conversion, architecture_for(map, conversion.to().name()));
  if (model.slides) warnings.emplace_back("use_sliding_window has no key in GGUF's architecture; it is left out");
}

std::int64_t heads_at(const gguf::Metadata& metadata, const std::string& key) {
  const std::optional<std::int64_t> heads = metadata.integer(key);
  if (heads) return *heads;
  fail(ErrorKind::bad_content, {.where = "GGUF metadata", .what = "key '" + printable(key) + "' is missing"});
}

}  // namespace

HfModel model_of(const Source& source) {
  if (source.folder() && !source.folder()->config.empty()) {
    return parse_hf_model(text_of(source.path() / config_name), source.folder()->config);
  }
  fail(ErrorKind::unsupported, {.where = text_of(source.path()),
                                .what = "a GGUF file says what its model is, and this input does not",
                                .need = "a model folder with its config.json, or a GGUF file"});
}

void require_gguf_model(const Source& source) {
  const HfModel model = model_of(source);
  const ModelMap& map = map_of(source, model);
  require_head(source, map, model);
  std::vector<Item> items;
  for (const safetensors::Entry& entry : source.tensors()) {
    if (!is_left_out(entry.name, model)) items.push_back({.name = entry.name, .shape = entry.shape});
  }
  (void)ordered(source, items, map, model);
}

const ModelMap& name_for_gguf(Conversion& conversion, const HfModel& model) {
  const ModelMap& map = map_of(conversion.source(), model);
  require_head(conversion.source(), map, model);
  leave_out(conversion, model);
  conversion.items = ordered(conversion.source(), conversion.items, map, model);
  warn_of_programs(conversion, map, model);
  return map;
}

void warn_of_kept_architecture(Conversion& conversion) {
  const gguf::Metadata& metadata = conversion.source().gguf()->metadata();
  const std::string architecture(metadata.text("general.architecture").value_or(""));
  const ModelMap* const map = find_gguf_map(architecture);
  if (map == nullptr || !metadata.text(gguf::writer_key)) return;
  warn_of_activation(conversion, architecture);
  const std::string_view layout = conversion.to().name();
  const std::string_view own = architecture_for(*find_map(map->hf), layout);
  if (own == architecture) return;
  conversion.result.warnings.push_back("the file stays one of architecture " + architecture + ", and programs for " +
                                       std::string(layout) + " take this model as " + std::string(own) +
                                       ": convert the model folder instead");
}

void name_as_hugging_face(Conversion& conversion) {
  if (conversion.options().keep_names) return;
  const Source& source = conversion.source();
  const gguf::Metadata& metadata = source.gguf()->metadata();
  const std::string architecture(metadata.text("general.architecture").value_or(""));
  const ModelMap* const map = find_gguf_map(architecture);
  if (map == nullptr) {
    fail(ErrorKind::unsupported, {.where = text_of(source.path()),
                                  .what = "bnq does not know what this architecture's tensors are called elsewhere",
                                  .got = "'" + printable(architecture) + "'",
                                  .cure = "keep names and rows as they are: --keep-names"});
  }
  std::erase_if(conversion.items, [&](const Item& item) {
    if (item.name != rope_name) return false;
    --conversion.result.copied;
    conversion.result.warnings.push_back("'" + item.name + "' is left out: a config.json says it elsewhere");
    return true;
  });
  std::array<std::int64_t, 2> heads{};
  if (map->is_interleaved) {
    heads = {heads_at(metadata, architecture + ".attention.head_count"),
             heads_at(metadata, architecture + ".attention.head_count_kv")};
  }
  for (Item& item : conversion.items) {
    item.out = hf_name(*map, item.name);
    if (item.out.empty()) {
      fail(ErrorKind::unsupported, {.where = in_file(source.path(), item.name),
                                    .what = "this tensor has no name outside of GGUF that bnq knows",
                                    .cure = "keep names and rows as they are: --keep-names"});
    }
    if (!map->is_interleaved) continue;
    set_order(item, in_file(source.path(), item.name), heads, RowOrder::pairs_to_halves);
  }
}

}  // namespace bnq::detail
