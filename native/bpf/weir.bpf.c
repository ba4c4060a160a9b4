/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Weir's datapath in the kernel: one object with a program a hook. Each stage is a header, the twin
 * of the TypeScript stage of the same name. Load constants: struct weir_load; maps: maps.gen.h,
 * from src/schema. */
#include "hooks/from_container.h"
#include "hooks/from_host.h"
#include "hooks/from_netdev.h"
#include "hooks/to_container.h"
#include "hooks/to_host.h"
#include "hooks/to_netdev.h"
#include "hooks/xdp.h"

char _license[] SEC("license") = "Dual BSD/GPL";
