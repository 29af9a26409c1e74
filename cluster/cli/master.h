// From what --redis names to an open connection: with Sentinel, to the master of the moment.
#ifndef FRESHET_CLUSTER_CLI_MASTER_H
#define FRESHET_CLUSTER_CLI_MASTER_H

#include "cluster/cli/client.h"
#include "cluster/topology.h"

// As client_open. Sentinels are asked one after the other until more than half have answered; the
// newest epoch is believed. UV_ENOENT: they know no such master.
int master_open(struct client *client, const struct topology *topology);

#endif
