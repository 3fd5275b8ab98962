#include "checkpoint/page/svg.h"

#include "core/fail.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <vector>

namespace bnq::detail {
namespace {

constexpr double picture_width = 860;  // pixels
constexpr double most_db = 60;         // of the SQNR axis; what is lossless ends there

std::string fixed(double value, int digits = 1) {
  std::array<char, 64> text{};
  (void)std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

std::string megabytes(std::uint64_t bytes) { return fixed(static_cast<double>(bytes) / 1e6) + " MB"; }

struct Box {
  double x, y, width, height;
};

std::string rectangle(const Box& box, const std::string& style, const std::string& title = "") {
  return "<rect x=\"" + fixed(box.x) + "\" y=\"" + fixed(box.y) + "\" width=\"" + fixed(std::max(box.width, 0.5)) +
         "\" height=\"" + fixed(box.height) + "\" class=\"" + style + "\">" +
         (title.empty() ? "" : "<title>" + title + "</title>") + "</rect>\n";
}

std::string text_at(double x, double y, const std::string& text, const std::string& anchor = "start") {
  return "<text x=\"" + fixed(x) + "\" y=\"" + fixed(y) + "\" text-anchor=\"" + anchor + "\">" + text + "</text>\n";
}

std::string picture(double height, const std::string& name, const std::string& inside) {
  return "<svg viewBox=\"0 0 " + fixed(picture_width, 0) + " " + fixed(height, 0) + "\" role=\"img\" aria-label=\"" +
         name + "\">\n" + inside + "</svg>\n";
}

struct Step {
  std::string name;
  std::uint64_t before = 0;
  std::uint64_t after = 0;
};

/// Tensors by scheme, the largest saving first; copies save nothing and are left out.
std::vector<Step> steps_of(const Verification& verification) {
  std::map<std::string, Step> by_name;
  for (const VerifiedTensor& tensor : verification.tensors) {
    if (!tensor.scheme) continue;
    Step& step = by_name[tensor.scheme->to_string()];
    step.before += tensor.bytes_before;
    step.after += tensor.bytes_after;
  }
  std::vector<Step> steps;
  for (auto& [name, step] : by_name) steps.push_back({name, step.before, step.after});
  const auto saved = [](const Step& s) { return static_cast<double>(s.before) - static_cast<double>(s.after); };
  std::ranges::stable_sort(steps, std::ranges::greater{}, saved);
  return steps;
}

std::string outline(const Histogram& histogram, double scale, double floor) {
  const double step = picture_width / static_cast<double>(Histogram::bins);
  std::string points;
  for (std::size_t i = 0; i < Histogram::bins; ++i) {
    const double y = floor - static_cast<double>(histogram.before[i]) * scale;
    points += fixed(static_cast<double>(i) * step) + "," + fixed(y) + " ";
    points += fixed(static_cast<double>(i + 1) * step) + "," + fixed(y) + " ";
  }
  return "<polyline class=\"before\" points=\"" + points + "\"/>\n";
}

}  // namespace

std::string escaped(const std::string& text) { return as_html(printable(text)); }

std::string as_html(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

std::string size_waterfall(const Verification& verification) {
  constexpr double row = 26;
  constexpr double left = 230;
  constexpr double right = 110;
  const auto before = static_cast<double>(verification.file_bytes_before);
  const auto all = std::max({before, static_cast<double>(verification.file_bytes_after), 1.0});
  const double scale = (picture_width - left - right) / all;
  double y = 0;
  double at = before;
  std::string inside;
  const auto add = [&](const std::string& name, double from, double to, const std::string& style,
                       const std::string& label) {
    inside += text_at(left - 8, y + 17, name, "end");
    inside += rectangle({left + std::min(from, to) * scale, y + 4, std::fabs(to - from) * scale, row - 8}, style);
    inside += text_at(left + std::max(from, to) * scale + 6, y + 17, label);
    y += row;
  };
  add("before", 0, before, "before-size", megabytes(verification.file_bytes_before));
  for (const Step& step : steps_of(verification)) {
    const double change = static_cast<double>(step.after) - static_cast<double>(step.before);
    const std::string sign = change > 0 ? "+" : "-";
    add(escaped(step.name), at, at + change, change > 0 ? "more" : "less",
        sign + megabytes(static_cast<std::uint64_t>(std::fabs(change))));
    at += change;
  }
  add("after", 0, static_cast<double>(verification.file_bytes_after), "after-size",
      megabytes(verification.file_bytes_after));
  return picture(y, "What each scheme saves", inside);
}

std::string sqnr_bars(const Verification& verification) {
  constexpr double height = 220;
  constexpr double left = 40;
  const auto count = static_cast<double>(std::ranges::count_if(
      verification.tensors, [](const VerifiedTensor& tensor) { return tensor.report.has_value(); }));
  const double step = (picture_width - left) / std::max(count, 1.0);
  std::string inside;
  for (const double db : {0.0, 20.0, 40.0, 60.0}) {
    const double y = height - 10 - db / most_db * (height - 20);
    inside += "<line x1=\"" + fixed(left) + "\" x2=\"" + fixed(picture_width) + "\" y1=\"" + fixed(y) + "\" y2=\"" +
              fixed(y) + "\"/>\n" + text_at(left - 6, y + 4, fixed(db, 0), "end");
  }
  double x = left;
  for (const VerifiedTensor& tensor : verification.tensors) {
    if (!tensor.report) continue;
    const double db = std::clamp(tensor.report->sqnr_db, 0.0, most_db);
    const double bar = db / most_db * (height - 20);
    const std::string value = tensor.report->lossless ? "lossless" : fixed(tensor.report->sqnr_db, 2) + " dB";
    const std::string style = tensor.gate_missed ? "missed" : tensor.name == verification.worst_name ? "worst" : "bar";
    inside +=
        rectangle({x, height - 10 - bar, std::max(step - 1, 0.5), bar}, style, escaped(tensor.name) + ": " + value);
    x += step;
  }
  return picture(height, "SQNR of each quantized tensor in dB", inside);
}

std::string histogram_picture(const Histogram& histogram) {
  constexpr double height = 180;
  constexpr double floor = height - 22;
  // Few codes make tall bars: each side is drawn to its own largest count.
  const auto tallest = [](const auto& counts) {
    return static_cast<double>(std::max<std::int64_t>(1, *std::ranges::max_element(counts)));
  };
  const double after_scale = (floor - 6) / tallest(histogram.after);
  const double step = picture_width / static_cast<double>(Histogram::bins);
  std::string inside;
  for (std::size_t i = 0; i < Histogram::bins; ++i) {
    if (histogram.after[i] == 0) continue;
    const double bar = static_cast<double>(histogram.after[i]) * after_scale;
    inside += rectangle({static_cast<double>(i) * step + 0.5, floor - bar, step - 1, bar}, "after",
                        std::to_string(histogram.after[i]) + " values");
  }
  inside += outline(histogram, (floor - 6) / tallest(histogram.before), floor);
  std::array<char, 32> limit{};
  (void)std::snprintf(limit.data(), limit.size(), "%.3g", histogram.limit);
  inside += text_at(0, height - 6, std::string("-") + limit.data());
  inside += text_at(picture_width / 2, height - 6, "0", "middle");
  inside += text_at(picture_width, height - 6, limit.data(), "end");
  return picture(height, "Values before and after", inside);
}

}  // namespace bnq::detail
