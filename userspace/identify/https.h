// How a provider is reached: kernel/https.h, under the names of this stage.
#pragma once
#include "kernel/https.h"

namespace weir::identify {

using kernel::Https;
using kernel::https_request;
using kernel::HttpsAnswer;
using kernel::HttpsRequest;
using kernel::is_inside;
using kernel::kHttpsTimeout;

}  // namespace weir::identify
