# SPDX-License-Identifier: Apache-2.0
"""Oxford RobotCar traversals (Maddern et al., IJRR 2017) -> a folder to train on (`mvloc dataset robotcar`).

Written from the published file formats; the data set's own tools are not used. All stamps are read in
microseconds and kept in nanoseconds, all poses are float64: northings have seven digits before the point.
"""
