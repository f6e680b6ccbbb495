#include "daemon/config/keys.h"
#include "daemon/config/rows.h"
#include "daemon/config/scope.h"
#include "daemon/config/uplink_rows.h"

namespace tidegate::daemon {
namespace {

using uplink::FileUplinkOptions;

void finish_file(FileUplinkOptions& uplink, const Scope& scope) {
  scope.claim_name("uplink");
  if (scope.has("path") && scope.is_sound("path")) {
    scope.claim("file", uplink.path, "path", "two uplinks cannot write to one file");
  }
}

Result<void> check_path(const std::string& path) { return check_placeholders(path, {"stream", "date"}); }

Section file_keys() {
  using namespace rows;
  using Owner = FileUplinkOptions;
  Section section = list<Config>("file", &Config::file_uplinks, "Records as lines of JSON (NDJSON) in files.");
  section.keys = {
      name_row<Owner>(),
      checked<Owner>("path", &Owner::path, check_path)
          .required()
          .must_be("a path with {stream} and {date}")
          .example("\"/srv/export/{stream}-{date}.ndjson\"")
          .says("The file, made when it is not there; its directory is. `{date}` is the day in UTC, `YYYY-MM-DD`. "
                "The service may write there only where a drop-in of its unit says so, with `ReadWritePaths=`."),
      size<Owner>("rotate_size", &Owner::rotate_bytes, 64 * 1024, std::uint64_t{1} << 40U)
          .example("\"16MiB\"")
          .says(
              "A file that has reached this gets the epoch and the sequence of its last record into its name, "
              "`out.ndjson` becomes `out.3-123401.ndjson`, and is whole and never touched again: for whoever collects "
              "files. Without it a file grows as long as `path` stays the same."),
  };
  for (Key& key : forwarder_rows<Owner>()) section.keys.push_back(std::move(key));
  section.sections = {batch_keys<Owner>()};
  section.finish = finish<Owner>(finish_file);
  return section;
}

}  // namespace

Section uplink_keys() {
  using namespace rows;
  Section section = table<Config>(
      "uplink", [](Config & config) -> auto& { return config; }, "Where readings, alarms and events go.");
  section.sections = {mqtt_uplink_keys(), kafka_uplink_keys(), http_uplink_keys(), file_keys()};
  return section;
}

}  // namespace tidegate::daemon
