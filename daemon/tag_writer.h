#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

#include "core/clock.h"
#include "core/log.h"
#include "core/tag_write.h"
#include "daemon/pipeline.h"
#include "uplink/token_bucket.h"

namespace tidegate::daemon {

/// The one way in which a tag is written, whoever wants it: asks the driver, and records each request with what became
/// of it as an event `tag-write`. What cannot be recorded is not done, and neither is what comes too fast, so that
/// nobody fills the stream `events` by asking. Core thread, but for handler().
class TagWriter {
 public:
  struct Parts {
    Pipeline* pipeline;
    const TagRegistry* tags;
    const Clock* clock;
  };
  using Counts = std::array<std::uint64_t, kWriteResultCount>;  // by WriteResult

  /// After the drivers are in the pipeline; it takes the pipeline's answers from here on.
  explicit TagWriter(Parts parts);
  ~TagWriter();
  TagWriter(const TagWriter&) = delete;
  TagWriter& operator=(const TagWriter&) = delete;

  /// The drivers in the pipeline are others. Until then, from forget_drivers() on, nothing is written.
  void look_at_drivers();
  void forget_drivers();

  void write(TagWrite wanted);
  /// write() for other threads, and for after this is gone: `post` brings it to the core thread.
  std::function<void(TagWrite)> handler(std::function<void(std::function<void()>)> post);
  /// Once a second: says what has got no event of its own.
  void look();

  const std::set<std::string>& writable() const { return paths_; }
  /// Requests since the start, by driver; those for tags of no driver have an empty one.
  const std::map<std::string, Counts>& counts() const { return counts_; }

  /// Writes a second that are carried out, and as many at once.
  static constexpr double kWritesPerSecond = 5;
  static constexpr double kWritesAtOnce = 100;
  /// Events a second of requests that are refused, and as many at once; the others are counted in one event.
  static constexpr double kRefusalsPerSecond = 0.1;
  static constexpr double kRefusalsAtOnce = 50;

 private:
  struct Target {
    drivers::Driver* driver = nullptr;
    TagId id = kNoTag;
  };
  struct LeftOut {
    std::uint64_t count = 0;
    std::string by;
    std::string reason;
  };

  Result<void> order(const TagWrite& wanted);
  std::string why_not(const TagWrite& wanted) const;
  std::string driver_of(const TagWrite& wanted) const;
  void take(const drivers::WriteAnswer& answer);
  void finish(const TagWrite& wanted, WriteResult result, const std::string& reason);
  void report(const TagWrite& wanted, WriteResult result, const std::string& reason);

  const Parts parts_;
  std::unordered_map<std::string, Target> targets_;  // by path
  std::set<std::string> paths_;
  std::unordered_map<std::uint64_t, TagWrite> waiting_;  // for the driver's answer, by id
  std::uint64_t last_id_ = 0;
  std::map<std::string, Counts> counts_;
  uplink::TokenBucket writes_{kWritesPerSecond, kWritesAtOnce};
  uplink::TokenBucket refusals_{kRefusalsPerSecond, kRefusalsAtOnce};
  LeftOut left_out_;
  ComplaintFilter complaints_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // core thread only
};

}  // namespace tidegate::daemon
