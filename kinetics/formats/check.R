# Recomputes, in R alone, the numbers that the package cellkinetics states for this study:
#   NCA: Cmax, Tmax, Clast, Tlast, AUC to Tlast and half-life of every profile (base R)
#   survival: number, events and median of each endpoint (package survival, which comes with R)
#   response rates: estimate and exact 95 % interval (binom.test of base R)
# Run it in this folder: Rscript check.R. It prints every number that differs and ends with status 1 if one does.
# It was written without R at hand and was not run by its authors: a fault of the script is possible.

tolerance <- 1e-6
rules <- read.csv("rules.csv", stringsAsFactors = FALSE)
rule <- function(name) rules$value[rules$rule == name]
number <- function(name) suppressWarnings(as.numeric(rule(name)))
differences <- 0
compared <- 0

compare <- function(what, stated, computed) {
  compared <<- compared + 1
  same <- (is.na(stated) && is.na(computed)) ||
    (!is.na(stated) && !is.na(computed) && abs(stated - computed) <= tolerance * max(abs(stated), 1e-300))
  if (!same) {
    differences <<- differences + 1
    cat(sprintf("DIFFERS %s: stated %.10g, computed %.10g\n", what, stated, computed))
  }
}

# --- non-compartmental analysis -------------------------------------------------------------------

# Lambda_z of the last points after the peak: of the falling fits whose adjusted R^2 is within a factor of the
# best, the one with the most points. NA where there is none or a limit of the rules excludes it.
half_life <- function(t, c, tmax, last_dose) {
  after <- t > tmax & c > 0
  if (rule("after_last_dose") == "True" && last_dose > tmax) after <- after & t > last_dose
  x <- rev(t[after])
  y <- rev(log(c[after]))
  least <- number("min_points")
  if (length(x) < least) return(NA_real_)
  sizes <- least:length(x)
  adjusted <- rate <- r_squared <- rep(NA_real_, length(sizes))
  for (i in seq_along(sizes)) {
    n <- sizes[i]
    r <- cor(x[1:n], y[1:n])
    if (is.na(r)) next
    r_squared[i] <- r^2
    adjusted[i] <- 1 - (1 - r^2) * (n - 1) / (n - 2)
    rate[i] <- -cov(x[1:n], y[1:n]) / var(x[1:n])
  }
  if (all(is.na(adjusted))) return(NA_real_)
  near <- which(adjusted > max(adjusted, na.rm = TRUE) - number("adj_r_squared_factor") & rate > 0)
  if (length(near) == 0) return(NA_real_)
  k <- max(near)
  span <- (x[1] - x[sizes[k]]) * rate[k] / log(2)
  below <- function(value, limit) !is.na(limit) && value < limit
  if (below(r_squared[k], number("min_r_squared"))) return(NA_real_)
  if (below(adjusted[k], number("min_adj_r_squared"))) return(NA_real_)
  if (below(span, number("min_span_ratio"))) return(NA_real_)
  log(2) / rate[k]
}

area <- function(t, c) {
  if (length(t) < 2) return(0)
  total <- 0
  for (i in seq_len(length(t) - 1)) {
    width <- t[i + 1] - t[i]
    first <- c[i]
    second <- c[i + 1]
    if (rule("auc_method") == "linear_up_log_down" && second < first && second > 0) {
      total <- total + width * (first - second) / log(first / second)
    } else {
      total <- total + width * (first + second) / 2
    }
  }
  total
}

profile <- function(t, c, dose_times) {
  none <- c(cmax = NA, tmax = NA, clast = NA, tlast = NA, auc_last = NA, half_life = NA)
  keep <- !is.na(c)
  order_of_time <- order(t[keep])
  t <- t[keep][order_of_time]
  c <- c[keep][order_of_time]
  before <- which(t < 0)
  latest <- if (length(before)) max(before) else 0
  carry <- latest > 0 && t[latest] >= -number("predose_days") && !any(t == 0)
  value_before <- if (carry) c[latest] else NA
  c <- c[t >= 0]
  t <- t[t >= 0]
  if (carry) {
    t <- c_of(0, t)
    c <- c_of(value_before, c)
  }
  if (length(c) == 0) return(none)
  if (!any(c > 0)) {
    if (rule("blq_first") == "keep") {
      none["cmax"] <- 0
      if (length(c) > 1) none["auc_last"] <- 0
    }
    return(none)
  }
  first <- min(which(c > 0))
  last <- max(which(c > 0))
  place <- seq_along(c)
  kept <- c > 0 | (place < first & rule("blq_first") == "keep") | (place > last & rule("blq_last") == "keep") |
    (place > first & place < last & rule("blq_middle") == "keep")
  t <- t[kept]
  c <- c[kept]
  peak <- which.max(c)
  tlast <- max(t[c > 0])
  result <- none
  result["cmax"] <- c[peak]
  result["tmax"] <- t[peak]
  result["clast"] <- c[t == tlast]
  result["tlast"] <- tlast
  result["half_life"] <- half_life(t, c, t[peak], max(c_of(-Inf, dose_times)))
  if (length(c) < 2) return(result)
  carried <- any(dose_times < 0)
  if (t[1] != 0 && !carried) {
    t <- c_of(0, t)
    c <- c_of(0, c)
  }
  if (t[1] == 0) result["auc_last"] <- area(t[t <= tlast], c[t <= tlast])
  result
}

c_of <- function(...) base::c(...) # `c` is a concentration above

records <- read.csv("records.csv", stringsAsFactors = FALSE, colClasses = c(subject = "character"))
doses <- read.csv("doses.csv", stringsAsFactors = FALSE, colClasses = c(subject = "character"))
stated <- read.csv("expected_nca.csv", stringsAsFactors = FALSE, colClasses = c(subject = "character"))
for (i in seq_len(nrow(stated))) {
  row <- stated[i, ]
  if (is.na(row$start)) next
  own <- stated[stated$subject == row$subject & stated$cycle != "course" & !is.na(stated$start), ]
  later <- own$start[own$start > row$start]
  end <- if (row$cycle == "course" || length(later) == 0) Inf else min(later)
  of_subject <- records[records$subject == row$subject & records$analyte == row$analyte, ]
  inside <- round(of_subject$time - end, 9) < 0 |
    (round(of_subject$time - end, 9) == 0 & of_subject$after_dose == 0)
  of_subject <- of_subject[inside, ]
  given <- doses[doses$subject == row$subject, ]
  days <- c(given$time, given$time + given$duration)
  if (row$cycle != "course") days <- days[days < end]
  computed <- profile(
    round(of_subject$time - row$start, 9),
    ifelse(of_subject$below == 1, 0, of_subject$value),
    round(days - row$start, 9)
  )
  for (name in names(computed)) {
    what <- paste(row$subject, row$analyte, row$product, row$cycle, name)
    compare(what, as.numeric(row[[name]]), as.numeric(computed[[name]]))
  }
}

# --- survival -------------------------------------------------------------------------------------

if (file.exists("expected_survival.csv")) {
  library(survival)
  times <- read.csv("survival_times.csv", stringsAsFactors = FALSE)
  expected <- read.csv("expected_survival.csv", stringsAsFactors = FALSE)
  for (i in seq_len(nrow(expected))) {
    row <- expected[i, ]
    rows <- times[times$endpoint == row$endpoint, ]
    curve <- survfit(Surv(time, event) ~ 1, data = rows)
    summed <- summary(curve)$table
    compare(paste(row$endpoint, "n"), row$n, nrow(rows))
    compare(paste(row$endpoint, "events"), row$events, sum(rows$event))
    compare(paste(row$endpoint, "median"), as.numeric(row$median), as.numeric(summed["median"]))
  }
}

# --- response rates -------------------------------------------------------------------------------

if (file.exists("expected_rates.csv")) {
  best <- read.csv("best_responses.csv", stringsAsFactors = FALSE)
  expected <- read.csv("expected_rates.csv", stringsAsFactors = FALSE)
  counted <- list(orr = c("CR", "PR"), dcr = c("CR", "PR", "SD", "NON-CR/NON-PD"))
  for (i in seq_len(nrow(expected))) {
    row <- expected[i, ]
    treated <- best[best$treated == 1, ]
    events <- sum(treated$response %in% counted[[row$rate]])
    compare(paste(row$rate, "events"), row$events, events)
    if (nrow(treated) == 0) next
    interval <- binom.test(events, nrow(treated))$conf.int
    compare(paste(row$rate, "estimate"), row$estimate, events / nrow(treated))
    compare(paste(row$rate, "lower"), row$lower, interval[1])
    compare(paste(row$rate, "upper"), row$upper, interval[2])
  }
}

cat(sprintf("%d numbers compared, %d differ\n", compared, differences))
if (differences > 0) quit(status = 1)
