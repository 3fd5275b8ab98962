#include "io/folder/model_folder.h"

#include "core/fail.h"
#include "io/file_map.h"
#include "io/folder/shard_index.h"
#include "io/system_call.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

namespace bnq::detail {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t most_config_bytes = 16'000'000;
constexpr int deepest_folder = 8;
constexpr std::size_t most_files = 100'000;

/// Ends of the names of files that hold weights, or say where they are.
constexpr std::array<std::string_view, 12> weight_endings{".safetensors", ".safetensors.index.json",
                                                          ".bin",         ".bin.index.json",
                                                          ".pt",          ".pth",
                                                          ".gguf",        ".onnx",
                                                          ".onnx_data",   ".h5",
                                                          ".msgpack",     ".ot"};

[[noreturn]] void refuse(const fs::path& path, const std::string& what, const std::string& got = {},
                         const std::string& need = {}, const std::string& cure = {}) {
  fail(ErrorKind::bad_content, {.where = text_of(path), .what = what, .got = got, .need = need, .cure = cure});
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

/// A hub cache keeps a model's files in `blobs`, and in `snapshots/REVISION` links to them.
fs::path blobs_of(const fs::path& folder) {
  return folder.parent_path().filename() == "snapshots" ? folder.parent_path().parent_path() / "blobs" : fs::path();
}

/// Throws when `file` is no regular file, or a link leads out of the folder. `folder` is canonical.
void require_own_file(const fs::path& folder, const fs::path& file) {
  std::error_code error;
  const fs::path target = fs::canonical(file, error);
  if (error) {
    if (error == std::errc::no_such_file_or_directory) {
      refuse(file, is_there(file) ? "is a link that leads nowhere" : "is missing, though the index names it");
    }
    fail_io(file, "cannot follow the link", error.value());
  }
  if (!fs::is_regular_file(target, error)) refuse(file, "is no regular file");
  const fs::path blobs = blobs_of(folder);
  if (is_inside(target, folder) || (!blobs.empty() && is_inside(target, blobs))) return;
  refuse(file, "is a link that leads out of the folder", "'" + text_of(target) + "'", "a file of the folder",
         "copy the file there");
}

std::string read_small(const fs::path& file, std::uint64_t most_bytes) {
  const FileMap map(file);
  if (map.bytes().size() > most_bytes) {
    refuse(file, "is too large", std::to_string(map.bytes().size()) + " bytes",
           std::to_string(most_bytes) + " or fewer");
  }
  return {reinterpret_cast<const char*>(map.bytes().data()), map.bytes().size()};
}

/// Weights that are not copied. Those of a model in a folder of its own, as sentence-transformers' 2_Dense, are.
bool holds_weights(const fs::path& file, const fs::path& below) {
  const std::string name = file.filename().string();
  const bool is_part = !below.empty() && (name == single_name || name == "pytorch_model.bin");
  if (is_part && is_there(file.parent_path() / config_name)) return false;
  return std::ranges::any_of(weight_endings, [&](std::string_view ending) { return name.ends_with(ending); });
}

/// Fills in `others` and `left_out`, folder by folder. Hidden files (.git, .cache) are nobody's model.
void list_files(ModelFolder& model, const fs::path& below, int depth) {
  if (depth > deepest_folder)
    refuse(model.path / below, "holds more than " + std::to_string(deepest_folder) + " folders in folders");
  std::error_code error;
  for (fs::directory_iterator at(model.path / below, error), end; !error && at != end; at.increment(error)) {
    const fs::path name = below / at->path().filename();
    if (at->path().filename().string().starts_with('.')) continue;
    if (fs::is_directory(at->symlink_status())) {
      list_files(model, name, depth + 1);
      continue;
    }
    const bool is_shard = std::ranges::binary_search(model.shards, name.string());
    if (is_shard || name == index_name || name == config_name) continue;
    std::error_code ignored;  // what a link leads to is looked at below
    if (holds_weights(at->path(), below) || fs::is_directory(at->path(), ignored)) {
      model.left_out.push_back(name.string());
      continue;
    }
    require_own_file(model.path, at->path());
    model.others.push_back({name.string(), fs::file_size(at->path())});
    if (model.others.size() > most_files) refuse(model.path, "holds too many files");
  }
  if (error) fail_io(model.path / below, "cannot list the folder", error.value());
}

void find_shards(ModelFolder& model) {
  const bool single = is_there(model.path / single_name);
  if (!is_there(model.path / index_name)) {
    if (!single) {
      refuse(model.path, "holds no weights that bnq reads", "",
             std::string(single_name) + ", or " + index_name + " and the files it names",
             "convert other forms with transformers: model.save_pretrained(FOLDER)");
    }
    model.shards = {single_name};
    return;
  }
  const fs::path index = model.path / index_name;
  require_own_file(model.path, index);
  model.weight_map = parse_shard_index(text_of(index), read_small(index, most_index_bytes));
  std::set<std::string> names;
  for (const auto& [tensor, shard] : model.weight_map) names.insert(shard);
  model.shards.assign(names.begin(), names.end());
  if (single && !names.contains(single_name)) {
    refuse(model.path, std::string("holds both ") + single_name + " and an index of other files", "", "one of them",
           "move away what is out of date");
  }
}

}  // namespace

bool is_inside(const fs::path& path, const fs::path& folder) {
  return std::ranges::mismatch(folder, path).in1 == folder.end();
}

ModelFolder open_model_folder(const fs::path& path) {
  std::error_code error;
  ModelFolder model{.path = fs::canonical(path, error)};
  if (error) fail_io(path, "cannot open the folder", error.value());
  find_shards(model);
  for (const std::string& shard : model.shards) require_own_file(model.path, model.path / shard);
  if (is_there(model.path / config_name)) {
    require_own_file(model.path, model.path / config_name);
    model.config = read_small(model.path / config_name, most_config_bytes);
    if (model.config.empty()) refuse(model.path / config_name, "is empty");
  }
  list_files(model, {}, 0);
  std::ranges::sort(model.others, {}, &FolderFile::name);
  std::ranges::sort(model.left_out);
  model.path = path;
  return model;
}

}  // namespace bnq::detail
