#include "checkpoint/contents.h"
#include "checkpoint/work.h"

#include <bnq/quantize.h>

#include <utility>

namespace bnq {
namespace {

using detail::FileForm;
using detail::Work;

/// `quantize` knows no names: its messages get file and tensor in front.
QuantizedTensor quantize_entry(const Work& work, const safetensors::Entry& entry, const Scheme& scheme) {
  try {
    return quantize(work.reader.view(entry), scheme);
  } catch (const Error& error) {
    throw Error(error.kind(), detail::in_file(work.reader.path(), entry.name) + ": " + error.what());
  }
}

void write_entry(const Work& work, safetensors::Writer& writer, std::size_t i) {
  const safetensors::Entry& entry = work.reader.tensors()[i];
  const std::optional<FileForm>& form = work.forms[i];
  if (form) {
    detail::write_tensor(writer, *form, pack(quantize_entry(work, entry, form->scheme), form->layout));
  } else {
    writer.write(entry.name, work.reader.bytes(entry));
  }
}

}  // namespace

Plan quantize_checkpoint(const std::filesystem::path& in, const std::filesystem::path& out,
                         const QuantizeOptions& options) {
  detail::require_other_file(in, out);
  Work work = detail::plan_work(in, options);
  using Replace = safetensors::Writer::Replace;
  safetensors::Writer writer(out, work.entries, work.metadata, options.replace ? Replace::yes : Replace::no);
  detail::ProgressCounter progress(options.progress, work.plan.file_bytes_in, detail::ProgressCounter::Writes::yes);
  for (std::size_t i = 0; i < work.forms.size(); ++i) {
    write_entry(work, writer, i);
    progress.add(work.reader.tensors()[i].nbytes);
  }
  writer.finish();
  return std::move(work.plan);
}

}  // namespace bnq
