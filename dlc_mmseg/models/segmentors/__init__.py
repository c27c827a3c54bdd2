"""Segmentors: HRDA, mean teacher (DACS + MIC) and DLC."""
