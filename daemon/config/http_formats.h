#pragma once

#include <string>

#include "core/error.h"
#include "daemon/config/schema.h"
#include "daemon/config/scope.h"
#include "uplink/http_options.h"

namespace tidegate::daemon {

/// The table `aws` of an HTTP uplink.
Section aws_keys();

/// Partition and ordering keys: {tag} and {gateway} may stand in them.
Result<void> check_record_key(const std::string& key);

/// What goes with which format, the limits of its target, and the defaults that are others there.
void finish_http_format(uplink::HttpUplinkOptions& uplink, const Scope& scope);

}  // namespace tidegate::daemon
