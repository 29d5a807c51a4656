# SPDX-License-Identifier: Apache-2.0
"""`mvloc calibrate`: covariances from validation frames."""
