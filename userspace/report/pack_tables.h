// The tables that every pack has, in the order of the report.
#pragma once
#include <vector>

#include "report/pack_table.h"

namespace weir::report {

const std::vector<TableInfo>& pack_tables();

}  // namespace weir::report
