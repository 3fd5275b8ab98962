#include "checkpoint/convert/conversion.h"
#include "checkpoint/work.h"
#include "core/fail.h"
#include "io/metadata.h"
#include "io/system_call.h"

#include <bnq/checkpoint.h>

#include <set>
#include <string_view>
#include <utility>

namespace bnq {
namespace detail {
namespace {

using safetensors::Entry;

void require_file_layout(const std::filesystem::path& out, const Layout& layout) {
  if (layout.row().file_suffix) return;
  std::string names;
  for (const Layout& other : Layout::all()) {
    if (other.row().file_suffix) names += (names.empty() ? "" : ", ") + std::string(other.name());
  }
  fail(ErrorKind::unsupported, {.where = text_of(out),
                                .what = "a safetensors file has no place for this layout",
                                .got = std::string(layout.name()),
                                .need = "one of " + names});
}

/// `x` and `x_scale` cannot both be there when x becomes codes.
void require_free_names(const Source& source, const std::vector<Entry>& entries) {
  std::set<std::string_view> names;
  for (const Entry& entry : entries) {
    if (names.insert(entry.name).second) continue;
    fail(ErrorKind::bad_content,
         {.where = in_file(source.path(), entry.name), .what = "its name is needed for a part of a low-bit tensor"});
  }
}

/// An output file, and how each tensor lies in it.
class SafetensorsOutput {
 public:
  SafetensorsOutput(Conversion& conversion, const ConvertOptions& options) : conversion_(conversion) {
    for (const Item& item : conversion.items()) {
      if (item.scheme) {
        forms_.push_back({item.name, *item.scheme, options.to, item.dtype, item.shape});
        for (Entry& part : forms_.back().parts()) entries_.push_back(std::move(part));
      } else {
        entries_.push_back(*conversion.source().find(item.name));
      }
    }
    require_free_names(conversion.source(), entries_);
    safetensors::Metadata inherited = conversion.source().shards().front().metadata();
    metadata_ = metadata_of(std::move(inherited), forms_, nullptr);
    conversion.result.file_bytes_out = safetensors::Writer::file_bytes(entries_, metadata_);
  }

  void write(const std::filesystem::path& out, const ConvertOptions& options) {
    using Replace = safetensors::Writer::Replace;
    ProgressCounter counter(options.progress, conversion_.source().file_bytes(), ProgressCounter::Writes::yes);
    safetensors::Writer writer(out, entries_, metadata_, options.replace ? Replace::yes : Replace::no);
    auto form = forms_.begin();
    for (const Item& item : conversion_.items()) {
      if (item.scheme) {
        write_tensor(writer, *form++, conversion_.pack(item, conversion_.codes_of(item)));
      } else {
        const Source& source = conversion_.source();
        writer.write(item.name, source.shard_of(item.name).bytes(*source.find(item.name)));
      }
      conversion_.release(item);
      counter.add(item.nbytes);
    }
    writer.finish();
  }

 private:
  Conversion& conversion_;
  std::vector<FileForm> forms_;
  std::vector<Entry> entries_;
  safetensors::Metadata metadata_;
};

}  // namespace
}  // namespace detail

ConvertResult convert_checkpoint(const std::filesystem::path& in, const std::filesystem::path& out,
                                 const ConvertOptions& options) {
  detail::require_file_layout(out, options.to);
  detail::require_other_file(in, out);
  detail::Conversion conversion(in, options);
  detail::SafetensorsOutput(conversion, options).write(out, options);
  return std::move(conversion.result);
}

}  // namespace bnq
