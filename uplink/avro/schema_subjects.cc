#include "uplink/avro/schema_subjects.h"

#include "uplink/avro/avro_schemas.h"
#include "uplink/placeholders.h"

namespace tidegate::uplink {

Result<std::string> schema_subject(std::string_view subject, std::string_view topic, std::string_view gateway,
                                   Stream stream) {
  return fill_placeholders(
      subject,
      {{"topic", topic}, {"record", avro_record_name(stream)}, {"gateway", gateway}, {"stream", to_string(stream)}});
}

}  // namespace tidegate::uplink
