#include "checkpoint/contents.h"
#include "checkpoint/foreign/online_bitnet.h"
#include "checkpoint/work.h"
#include "core/threads/background.h"
#include "io/folder/output_folder.h"

#include <bnq/quantize.h>

#include <utility>

namespace bnq {
namespace {

using detail::FileForm;
using detail::OutputShard;
using detail::Work;

/// `quantize` knows no names: its messages get file and tensor in front.
QuantizedTensor quantize_entry(const Work& work, const safetensors::Entry& entry, const Scheme& scheme) {
  const std::string where = detail::in_file(work.source.file_of(entry.name), entry.name);
  QuantizedTensor q = [&] {
    try {
      return quantize(work.source.view(entry), scheme);
    } catch (const Error& error) {
      throw Error(error.kind(), where + ": " + error.what());
    }
  }();
  if (q.counts().prequantized_granules > 0) detail::require_same_scale(where, work.model);
  return q;
}

/// Leaves a quantized tensor to `disk`, which writes it while the next one is computed. A copy is all the disk's work:
/// behind another tensor it would only be held in memory.
void write_entry(Work& work, safetensors::Writer& writer, std::size_t i, detail::Background& disk) {
  const safetensors::Entry& entry = work.source.tensors()[i];
  std::optional<FileForm>& form = work.forms[i];
  if (form) {
    auto packed = detail::pack_for_file(quantize_entry(work, entry, form->scheme), form->layout);
    disk.run([&writer, &form, packed = std::move(packed)] { detail::write_tensor(writer, *form, packed); });
  } else {
    disk.wait();
    writer.write(entry.name, work.source.bytes(entry));
  }
  work.source.release(entry);
}

/// Returns the digest of the file.
std::string write_shard(Work& work, const OutputShard& shard, const std::filesystem::path& path, bool replace,
                        detail::ProgressCounter& progress) {
  using Replace = safetensors::Writer::Replace;
  safetensors::Writer writer(path, shard.entries, shard.metadata, replace ? Replace::yes : Replace::no);
  detail::Background disk;
  for (std::size_t i = shard.first; i < shard.last; ++i) {
    write_entry(work, writer, i, disk);
    progress.add(work.source.tensors()[i].nbytes);
  }
  disk.wait();
  writer.set_metadata(detail::shard_metadata(work, shard));
  writer.finish();
  return writer.digest();
}

std::uint64_t input_bytes(const Work& work, const OutputShard& shard) {
  std::uint64_t bytes = 0;
  for (std::size_t i = shard.first; i < shard.last; ++i) bytes += work.source.tensors()[i].nbytes;
  return bytes;
}

void write_folder(Work& work, const std::filesystem::path& out, detail::ProgressCounter& progress) {
  std::vector<std::string> names;
  for (const PlannedFile& file : work.plan.files) names.push_back(file.name);
  detail::OutputFolder folder(out, {.size_bytes = work.plan.file_bytes_out,
                                    .replace = work.options.replace,
                                    .resume = work.options.resume,
                                    .files = std::move(names)});
  const std::string all = detail::digest_of(work);
  for (const OutputShard& shard : work.shards) {
    if (folder.has_finished(shard.name, all)) {
      progress.add(input_bytes(work, shard));
      continue;
    }
    folder.note_finished(shard.name, all, write_shard(work, shard, folder.place(shard.name), false, progress));
  }
  if (!work.index.empty()) folder.write(detail::index_name, work.index);
  if (!work.config.empty()) folder.write(detail::config_name, work.config);
  for (const detail::FolderFile& other : work.source.folder()->others) {
    folder.copy(work.source.path() / other.name, other.name);
  }
  folder.commit();
}

}  // namespace

Plan quantize_checkpoint(const std::filesystem::path& in, const std::filesystem::path& out,
                         const QuantizeOptions& options) {
  detail::require_other_file(in, out);
  if (!options.plan_out.empty()) detail::require_beside(options.plan_out, out, "the plan");
  Work work = detail::plan_work(in, options);
  using Writes = detail::ProgressCounter::Writes;
  detail::ProgressCounter progress(options.progress, work.source.file_bytes(),
                                   options.resume ? Writes::no : Writes::yes);
  if (work.source.folder()) {
    write_folder(work, out, progress);
  } else {
    (void)write_shard(work, work.shards.front(), out, options.replace, progress);
  }
  return std::move(work.plan);
}

}  // namespace bnq
