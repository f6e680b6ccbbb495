#include "core/tag_write.h"

namespace tidegate {

const char* to_string(WriteResult result) {
  switch (result) {
    case WriteResult::written:
      return "written";
    case WriteResult::refused:
      return "refused";
    case WriteResult::unknown:
      return "unknown";
    case WriteResult::failed:
      return "failed";
  }
  return "unknown";
}

}  // namespace tidegate
