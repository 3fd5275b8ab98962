#include "checkpoint/convert/gguf/tokenizer.h"

#include "core/fail.h"
#include "io/file_map.h"
#include "io/json/json_text.h"
#include "io/json/parse_json.h"
#include "io/system_call.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace bnq::detail {
namespace {

using nlohmann::json;

constexpr const char* tokenizer_name = "tokenizer.json";
constexpr const char* settings_name = "tokenizer_config.json";
constexpr const char* template_name = "chat_template.jinja";
constexpr std::uint64_t most_bytes = 100'000'000;
constexpr JsonLimits limits{.depth = 32, .keys = 4'000'000};

/// What a token is, as GGUF counts.
enum class TokenType : std::int32_t { normal = 1, control = 3, user_defined = 4, unused = 5 };

struct Pattern {
  std::string_view name;   ///< tokenizer.ggml.pre
  std::string_view regex;  ///< of the first Split
};

// Patterns of the tokenizers' own files, and the names under which llama.cpp has them.
constexpr std::array patterns{
    Pattern{"llama-bpe", R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
                         R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    Pattern{"qwen2", R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
                     R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"},
};

std::string where_of(const ModelFolder& folder, const char* name) { return text_of(folder.path / name); }

/// The bytes of a file of the folder; nothing when it is not there.
std::optional<std::string> text_at(const ModelFolder& folder, const char* name) {
  const auto at = std::ranges::find(folder.others, name, &FolderFile::name);
  if (at == folder.others.end()) return {};
  const FileMap file(folder.path / name);
  if (file.bytes().size() > most_bytes) {
    fail(ErrorKind::bad_content, {.where = where_of(folder, name),
                                  .what = "is too large",
                                  .got = std::to_string(file.bytes().size()) + " bytes",
                                  .need = std::to_string(most_bytes) + " or fewer"});
  }
  return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
}

json document_at(const ModelFolder& folder, const char* name) {
  const auto text = text_at(folder, name);
  return text ? parse_json<json>(where_of(folder, name), without_non_finite(*text), limits) : json();
}

/// A member of an object; null where there is none.
const json& member(const json& object, const char* key) {
  static const json none;
  if (!object.is_object()) return none;
  const auto at = object.find(key);
  return at == object.end() ? none : *at;
}

bool holds_type(const json& part, std::string_view type) {
  const json& own = member(part, "type");
  if (own.is_string() && own.get_ref<const std::string&>() == type) return true;
  const json& list = member(part, "pretokenizers");
  return list.is_array() && std::ranges::any_of(list, [&](const json& each) { return holds_type(each, type); });
}

bool flag(const json& object, const char* key, bool otherwise) {
  const json& own = member(object, key);
  return own.is_boolean() ? own.get<bool>() : otherwise;
}

std::string text_of(const json& object, const char* key) {
  const json& own = member(object, key);
  return own.is_string() ? own.get<std::string>() : std::string();
}

/// The name of the pre-tokenizer; empty for one that bnq does not know. What its settings are when they are not there
/// is what the tokenizers library takes.
std::string pre_tokenizer(const json& part) {
  const json& list = member(part, "pretokenizers");
  const json& first = list.is_array() && !list.empty() ? list.front() : part;
  const json& bytes = list.is_array() && !list.empty() ? list.back() : part;
  if (flag(bytes, "add_prefix_space", true)) return {};  // no program does it by such a name
  if (holds_type(first, "ByteLevel") && flag(first, "use_regex", true)) {
    return list.is_array() && list.size() > 1 ? "" : "gpt-2";
  }
  const json& regex = member(member(first, "pattern"), "Regex");
  if (!list.is_array() || list.size() != 2 || !holds_type(list[1], "ByteLevel") || !regex.is_string()) return {};
  const bool keeps_all = text_of(first, "behavior") == "Isolated" && !flag(first, "invert", false);
  if (!keeps_all || flag(bytes, "use_regex", true)) return {};
  const auto* const known = std::ranges::find(patterns, regex.get_ref<const std::string&>(), &Pattern::regex);
  return known == patterns.end() ? "" : std::string(known->name);
}

/// Tokens by id.
class Tokens {
 public:
  Tokens(std::string where, std::int64_t count) : where_(std::move(where)), tokens_(static_cast<std::size_t>(count)) {
    types_.resize(tokens_.size(), static_cast<std::int32_t>(TokenType::unused));
    for (std::size_t id = 0; id < tokens_.size(); ++id) tokens_[id] = "[PAD" + std::to_string(id) + "]";
  }

  void add(const std::string& token, const json& id, TokenType type) {
    const bool valid = id.is_number_unsigned() && id.get<std::uint64_t>() < tokens_.size();
    if (!valid) {
      fail(ErrorKind::bad_content, {.where = where_,
                                    .what = "the id of token '" + printable(token) + "' is none",
                                    .got = id.is_number() ? id.dump() : "",
                                    .need = "0 to " + std::to_string(tokens_.size() - 1) + ", as config.json says"});
    }
    const auto at = id.get<std::size_t>();
    const bool is_taken = types_[at] != static_cast<std::int32_t>(TokenType::unused);
    if (is_taken && tokens_[at] != token) {
      fail(ErrorKind::bad_content,
           {.where = where_,
            .what = "two tokens have one id",
            .got = id.dump() + " of '" + printable(tokens_[at]) + "' and '" + printable(token) + "'"});
    }
    tokens_[at] = token;
    types_[at] = static_cast<std::int32_t>(type);
  }

  /// Nothing for an empty one: it is that of a setting which is not there.
  [[nodiscard]] std::optional<std::uint32_t> id_of(const std::string& token) const {
    if (token.empty()) return {};
    const auto at = std::ranges::find(tokens_, token);
    if (at == tokens_.end()) return {};
    return static_cast<std::uint32_t>(at - tokens_.begin());
  }

  void write(gguf::MetadataBuilder& metadata) const {
    const std::vector<std::string_view> views(tokens_.begin(), tokens_.end());
    metadata.add_list("tokenizer.ggml.tokens", std::span(views));
    metadata.add_list("tokenizer.ggml.token_type", std::span(types_));
  }

 private:
  std::string where_;
  std::vector<std::string> tokens_;
  std::vector<std::int32_t> types_;
};

Tokens tokens_of(const std::string& where, const json& tokenizer, std::int64_t vocabulary) {
  Tokens tokens(where, vocabulary);
  for (const auto& [token, id] : member(member(tokenizer, "model"), "vocab").items()) {
    tokens.add(token, id, TokenType::normal);
  }
  for (const json& added : member(tokenizer, "added_tokens")) {
    const json& content = member(added, "content");
    const json& special = member(added, "special");
    if (!content.is_string()) fail(ErrorKind::bad_content, {.where = where, .what = "an added token has no content"});
    const bool is_control = special.is_boolean() && special.get<bool>();
    tokens.add(content.get<std::string>(), member(added, "id"),
               is_control ? TokenType::control : TokenType::user_defined);
  }
  return tokens;
}

/// A space within a token stands for itself in a pair, and parts the two in a text.
std::string merge_part(const std::string& token) {
  std::string text;
  for (const char c : token) text += c == ' ' ? "\xC4\xA0" : std::string(1, c);
  return text;
}

/// "a b", also of files that have ["a", "b"].
std::vector<std::string> merges_of(const std::string& where, const json& merges) {
  std::vector<std::string> texts;
  for (const json& merge : merges) {
    if (merge.is_string()) {
      texts.push_back(merge.get<std::string>());
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      texts.push_back(merge_part(merge[0].get<std::string>()) + " " + merge_part(merge[1].get<std::string>()));
    } else {
      fail(ErrorKind::bad_content, {.where = where, .what = "a merge is no pair of tokens"});
    }
  }
  return texts;
}

/// The text of a token that a setting names, "</s>" or {"content": "</s>"}.
std::string token_text(const json& value) {
  const json& text = value.is_object() ? member(value, "content") : value;
  return text.is_string() ? text.get<std::string>() : std::string();
}

/// Tokens that the tokenizer itself puts around a text (its TemplateProcessing), where its settings do not say it.
struct Template {
  std::string first = {};  ///< empty: none
  std::string last = {};
};

Template template_of(const json& processor) {
  const json& list = member(processor, "processors");
  if (list.is_array()) {
    for (const json& each : list) {
      if (text_of(each, "type") == "TemplateProcessing") return template_of(each);
    }
  }
  const json& pieces = member(processor, "single");
  if (!pieces.is_array() || pieces.empty()) return {};
  return {text_of(member(pieces.front(), "SpecialToken"), "id"), text_of(member(pieces.back(), "SpecialToken"), "id")};
}

/// Is a token to be put before each text, or behind it? Said in any case: programs have defaults of their own.
void add_around(gguf::MetadataBuilder& metadata, const json& settings, const char* kind, bool otherwise) {
  const std::string setting = std::string("add_") + kind + "_token";
  metadata.add("tokenizer.ggml." + setting, flag(settings, setting.c_str(), otherwise));
}

/// The id of the "bos", "eos", "unk" or "pad" token.
std::optional<std::uint32_t> special_id(const Tokens& tokens, const json& settings, const json& config,
                                        const std::string& kind) {
  const std::string setting = kind + "_token";
  if (const auto id = tokens.id_of(token_text(member(settings, setting.c_str())))) return id;
  const json& stated = member(config, (setting + "_id").c_str());
  const json& first = stated.is_array() && !stated.empty() ? stated.front() : stated;
  if (!first.is_number_unsigned()) return {};
  return first.get<std::uint32_t>();
}

/// Returns warnings.
std::vector<std::string> add_special(gguf::MetadataBuilder& metadata, const Tokens& tokens, const json& settings,
                                     const json& config, const Template& around) {
  constexpr std::array<std::pair<const char*, const char*>, 4> kinds{
      {{"bos", "bos"}, {"eos", "eos"}, {"unk", "unknown"}, {"pad", "padding"}}};
  for (const auto& [hf, ggml] : kinds) {
    const auto id = special_id(tokens, settings, config, hf);
    if (id) metadata.add("tokenizer.ggml." + std::string(ggml) + "_token_id", *id);
  }
  std::vector<std::string> warnings;
  for (const auto& [kind, token] : {std::pair("bos", around.first), std::pair("eos", around.last)}) {
    const bool is_own = token.empty() || tokens.id_of(token) == special_id(tokens, settings, config, kind);
    if (!is_own) {
      warnings.push_back("the tokenizer puts '" + printable(token) + "' around each text, which is not its " + kind +
                         " token, and GGUF has no key for that: programs will leave it out");
    }
    add_around(metadata, settings, kind, !token.empty() && is_own);
  }
  return warnings;
}

void add_chat_template(gguf::MetadataBuilder& metadata, const ModelFolder& folder, const json& settings) {
  constexpr const char* key = "tokenizer.chat_template";
  const json& stated = member(settings, "chat_template");
  if (const auto text = text_at(folder, template_name); text) {
    metadata.add(key, std::string_view(*text));
  } else if (stated.is_string()) {
    metadata.add(key, std::string_view(stated.get_ref<const std::string&>()));
  }
}

/// Why it is left out; empty for a tokenizer that GGUF's model "gpt2" is.
std::string why_not(const json& tokenizer) {
  if (tokenizer.is_null()) return std::string("the folder has no ") + tokenizer_name;
  const json& model = member(tokenizer, "model");
  if (text_of(model, "type") != "BPE") return "its tokenizer is no BPE";
  if (!member(model, "vocab").is_object() || !member(model, "merges").is_array()) return "its BPE has no vocabulary";
  const bool is_bytes = holds_type(member(tokenizer, "pre_tokenizer"), "ByteLevel");
  if (!is_bytes || flag(model, "byte_fallback", false)) return "its BPE is not of bytes";
  const bool is_marked =
      !text_of(model, "continuing_subword_prefix").empty() || !text_of(model, "end_of_word_suffix").empty();
  return is_marked ? "its BPE marks where words begin or end" : "";
}

/// NFC is in Qwen's, and its programs leave it out.
bool changes_text(const json& normalizer) {
  if (normalizer.is_null()) return false;
  const json& list = member(normalizer, "normalizers");
  if (list.is_array()) return std::ranges::any_of(list, changes_text);
  return text_of(normalizer, "type") != "NFC";
}

}  // namespace

std::vector<std::string> add_tokenizer(gguf::MetadataBuilder& metadata, const ModelFolder& folder,
                                       std::int64_t vocabulary, const std::string& pre) {
  const json tokenizer = document_at(folder, tokenizer_name);
  if (const std::string why = why_not(tokenizer); !why.empty()) {
    return {"no tokenizer is written, and programs will not run the file as it is: " + why};
  }
  const std::string where = where_of(folder, tokenizer_name);
  const Tokens tokens = tokens_of(where, tokenizer, vocabulary);
  const std::vector<std::string> merges = merges_of(where, member(member(tokenizer, "model"), "merges"));
  const std::vector<std::string_view> views(merges.begin(), merges.end());
  const json settings = document_at(folder, settings_name);
  const json config = parse_json<json>(where_of(folder, config_name), without_non_finite(folder.config), limits);
  const std::string name = pre.empty() ? pre_tokenizer(member(tokenizer, "pre_tokenizer")) : pre;
  metadata.add("tokenizer.ggml.model", "gpt2");
  if (!name.empty()) metadata.add("tokenizer.ggml.pre", std::string_view(name));
  tokens.write(metadata);
  metadata.add_list("tokenizer.ggml.merges", std::span(views));
  const Template around = template_of(member(tokenizer, "post_processor"));
  std::vector<std::string> warnings = add_special(metadata, tokens, settings, config, around);
  add_chat_template(metadata, folder, settings);
  if (changes_text(member(tokenizer, "normalizer"))) {
    warnings.emplace_back(
        "the tokenizer changes text before it looks for tokens (its normalizer), which GGUF has no key for: programs "
        "will leave that out");
  }
  if (!name.empty()) return warnings;
  warnings.emplace_back(
      "the tokenizer's way to cut text into words is none that bnq knows, so that tokenizer.ggml.pre is missing, and "
      "programs will cut it otherwise; name it by --pre-tokenizer");
  return warnings;
}

}  // namespace bnq::detail
