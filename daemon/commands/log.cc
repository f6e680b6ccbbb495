#include <spdlog/fmt/fmt.h>

#include <iostream>

#include "buffer/inspect.h"
#include "core/clock.h"
#include "core/counted.h"
#include "core/file_system.h"
#include "daemon/commands/commands.h"
#include "daemon/offset.h"

namespace tidegate::daemon {
namespace {

void print_segment(const buffer::SegmentSummary& segment) {
  std::cout << fmt::format("{:<9} {:>8} {:>9} frames {:>11} bytes  {:>12} to {:<12} {} to {}  {}\n",
                           to_string(segment.stream), segment.number, segment.frames, segment.bytes_used,
                           format_position(segment.first), format_position(segment.end), format_utc(segment.time_from),
                           format_utc(segment.time_to), segment.file);
  for (const auto& damage : segment.damage) std::cout << "  DAMAGED " << segment.file << ": " << damage << '\n';
}

}  // namespace

int list_log(const std::string& data_dir) {
  PosixFileSystem files;
  const auto segments = buffer::inspect_log(files, data_dir + "/log");
  if (!segments) return report_failure(segments.error().message);
  for (const auto& segment : *segments) print_segment(segment);
  return kExitDone;
}

int verify_log(const std::string& data_dir) {
  PosixFileSystem files;
  const auto segments = buffer::inspect_log(files, data_dir + "/log");
  if (!segments) return report_failure(segments.error().message);
  std::size_t damaged = 0;
  std::uint64_t frames = 0;
  for (const auto& segment : *segments) {
    frames += segment.frames;
    damaged += segment.damage.size();
    if (!segment.damage.empty()) print_segment(segment);
  }
  std::cout << fmt::format("{}: {}, {}, {}\n", data_dir, counted(segments->size(), "segment"), counted(frames, "frame"),
                           counted(damaged, "damaged place"));
  return damaged == 0 ? kExitDone : kExitFailed;
}

}  // namespace tidegate::daemon
