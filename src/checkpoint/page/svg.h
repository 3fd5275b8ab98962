#pragma once

#include <bnq/checkpoint.h>

#include "checkpoint/page/histogram.h"

#include <string>

namespace bnq::detail {

/// Printable text with the signs that HTML reads replaced.
[[nodiscard]] std::string as_html(const std::string& text);

/// Any text, made printable first and cut when long: names come from files of strangers.
[[nodiscard]] std::string escaped(const std::string& text);

/// What each scheme saves on the way from the size before to the size after.
[[nodiscard]] std::string size_waterfall(const Verification& verification);

/// One bar a quantized tensor, in the order of the file.
[[nodiscard]] std::string sqnr_bars(const Verification& verification);

/// The original as an outline over what the codes mean.
[[nodiscard]] std::string histogram_picture(const Histogram& histogram);

}  // namespace bnq::detail
