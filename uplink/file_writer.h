#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/log.h"
#include "core/record.h"
#include "core/spare_room.h"
#include "uplink/append_file.h"
#include "uplink/batch_order.h"
#include "uplink/forwarder.h"
#include "uplink/options.h"
#include "uplink/record_lines.h"

namespace tidegate::uplink {

/// Writes batches to files as NDJSON or CSV, a line a record. Batches that come together are synced together. What
/// fails is reported and can be written again; behind it nothing of its chain is taken until it comes again
/// (BatchOrder), so the lines keep the order of the sequences, with live-first in each of the lanes.
///
/// With `rotate_bytes`, a file that has as much gets its last record's epoch and sequence into its name,
/// "readings.ndjson" becomes "readings.3-123401.ndjson", and is never touched again: what has such a name is whole.
/// With `part_suffix`, a file that is not finished has that behind its name: one of another day gets rid of it when the
/// next batch of one of its streams comes, also after a restart.
/// Blocks on the disk: for the uplink's own thread.
class FileWriter {
 public:
  using Report = std::function<void(std::uint64_t batch_id, bool ok)>;

  /// Error `invalid` when the path has other placeholders than {gateway}, {stream} and {date}.
  static Result<void> check_path(const std::string& path_template);

  FileWriter(const FileUplinkOptions& options, std::string gateway);

  /// Reports each batch when it is durable or has failed; in order, but for the failed ones, which come first.
  void write(const std::vector<OutgoingBatch>& batches, const Report& report);
  /// Why a stream cannot be written, as of its newest attempt; empty when all can.
  const std::string& trouble() const;

 private:
  struct OpenFile {
    std::unique_ptr<AppendFile> file;
    std::vector<const OutgoingBatch*> unsynced;
  };

  Result<void> append(const OutgoingBatch& batch);
  Result<OpenFile*> file_at(const std::string& path, Stream stream);
  Result<std::string> path_for(Stream stream, WallTime sent) const;
  void sync_all(const Report& report);
  bool sync(OpenFile& open, const Report& report);
  bool rotate(const std::string& path, OpenFile& open, const OutgoingBatch& last);
  void note_day(Stream stream, const std::string& path);
  void find_left_parts(Stream stream, const std::string& current);
  void finish_days();
  Result<void> finish_day(const std::string& path, Stream stream);
  template <class Name>
  Result<void> give_name(AppendFile& file, const Name& name);
  void sync_names();
  void fail_batch(const OutgoingBatch& batch, const Error& error, const Report& report);
  void complain(const Error& error, const char* what_now);

  const std::string name_;
  const std::string path_template_;
  const std::string gateway_;
  const std::uint64_t rotate_bytes_;
  const std::string part_suffix_;
  const std::unique_ptr<const RecordLines> renderer_;
  ReusedText lines_;                               // of a batch
  std::map<std::string, OpenFile> files_;          // by their names when they are finished, as below
  std::array<std::string, kStreamCount> current_;  // with part_suffix: where the stream's newest batch went
  std::array<bool, kStreamCount> has_looked_{};    // for what an earlier process left
  std::map<std::string, Stream> past_;             // with part_suffix: files of other days, to be finished
  std::set<std::string> renamed_;                  // directories whose new names are not durable yet: "dir/"
  BatchOrder order_;
  std::array<std::string, kStreamCount> troubles_;  // by stream
  ComplaintFilter complaints_;
};

}  // namespace tidegate::uplink
