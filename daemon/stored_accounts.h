#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "buffer/state_store.h"
#include "uplink/accounting.h"

namespace tidegate::daemon {

/// An uplink's accounts as the state database keeps them beside the cursor, and back.
std::map<std::string, std::uint64_t> stored_accounts(const uplink::Accounting& counts, bool replay);
uplink::Accounting accounting_of(const buffer::StoredCursor& cursor);
/// Whether the mark of a replay is still to be acknowledged.
bool is_replay(const buffer::StoredCursor& cursor);

}  // namespace tidegate::daemon
