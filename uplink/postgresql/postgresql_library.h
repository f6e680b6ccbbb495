#pragma once

#include <libpq-fe.h>

#include "core/error.h"

// Every function of libpq that is used, without "PQ".
#define TIDEGATE_POSTGRESQL_FUNCTIONS(use)                                                                          \
  use(libVersion) use(connectStartParams) use(connectPoll) use(status) use(socket) use(finish) use(errorMessage)    \
      use(setnonblocking) use(setErrorVerbosity) use(setNoticeReceiver) use(sendQuery) use(flush) use(consumeInput) \
          use(isBusy) use(getResult) use(clear) use(resultStatus) use(resultErrorField) use(resultErrorMessage)     \
              use(cmdStatus) use(cmdTuples) use(ntuples) use(nfields) use(getvalue) use(getlength) use(getisnull)   \
                  use(putCopyData) use(putCopyEnd)

namespace tidegate::uplink {

/// libpq's functions, looked up in the library of the system when a configuration asks for it (docs/adr/0018). Nothing
/// else of the library may be called.
struct PostgresqlLibrary {
#define TIDEGATE_POSTGRESQL_MEMBER(name) decltype(&::PQ##name) name = nullptr;
  TIDEGATE_POSTGRESQL_FUNCTIONS(TIDEGATE_POSTGRESQL_MEMBER)
#undef TIDEGATE_POSTGRESQL_MEMBER

  /// Error `not_found` names the package that is missing.
  static Result<PostgresqlLibrary> load();
};

}  // namespace tidegate::uplink
